// HTTP(S) requests, many at a time on one thread, over libcurl. Certificates are always checked;
// proxies are taken from the environment as curl does.
//
// Redirects are followed here rather than by libcurl so that the bearer token demonstrably goes to
// the first address's origin (scheme, host, port) alone: hubs redirect to storage services with
// signed addresses, which must not see it. Bodies of redirects are dropped.
//
// Not thread-safe; callbacks run inside poll() and may call start() and cancel().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace fathom::hub {

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; of a repeated one, the last

  std::string header(const std::string& lower_case_name) const;
};

enum class HttpFailure {
  kNone,         // an answer came, whatever its status
  kNetwork,      // no answer, or it broke off: worth trying again
  kCertificate,  // the server could not prove who it is
  kRefused,      // a redirect that is not followed, an address that makes no sense
  kAbandoned,    // a callback returned false
};

struct HttpOutcome {
  HttpFailure failure = HttpFailure::kNone;
  std::string message;  // what happened, for failure != kNone
  HttpResponse response;
};

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string bearer_token;          // empty: none
  std::string post_body = {};        // empty: a GET; else a POST of it, which no redirect is
                                     // followed for
  // The head of the last response (after redirects); false abandons the transfer.
  std::function<bool(const HttpResponse&)> on_headers;
  // Its body, piece by piece; false abandons the transfer.
  std::function<bool(std::span<const std::byte>)> on_body;
  std::function<void(const HttpOutcome&)> on_done;
};

struct HttpOptions {
  std::chrono::seconds connect_timeout{20};
  std::chrono::seconds stall_timeout{30};  // a connection that carries nothing for so long broke
  int max_redirects = 10;
};

class HttpClient {
 public:
  using Id = int64_t;

  explicit HttpClient(HttpOptions options = {});
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  Id start(HttpRequest request);
  // None of the request's callbacks runs after this.
  void cancel(Id id);
  // Moves every transfer on; waits up to `timeout` for something to do.
  void poll(std::chrono::milliseconds timeout);
  size_t active() const;

 private:
  struct Transfer;
  struct State;
  std::unique_ptr<State> state_;
};

// A whole small answer (an API's JSON), at most `max_bytes` long.
struct HttpText {
  HttpOutcome outcome;
  std::string body;
};
HttpText http_get(HttpClient& client, const std::string& url, const std::string& bearer_token,
                  size_t max_bytes);

// "a b/ä" as a path segment of a URL: everything but unreserved characters as %XX.
std::string percent_encode(std::string_view text);

}  // namespace fathom::hub
