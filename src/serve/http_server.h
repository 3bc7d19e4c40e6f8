// An HTTP/1.1 server on one thread of its own: connections, keep-alive, TLS, limits. What to answer
// is the handler's business; it runs on the server's thread, so it must hand long work on, and
// answers through the Exchange at any time from any thread.
//
// Refused before the handler hears of it: heads and bodies past their limits, requests that arrive
// too slowly, and whatever two servers could read in two ways (request smuggling): several lengths,
// a length beside Transfer-Encoding, an encoding other than "chunked", no or several Hosts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "serve/exchange.h"
#include "serve/http_message.h"

namespace fathom::serve {

struct HttpOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;              // 0: any free one
  std::string tls_certificate = {};  // PEM files; both or neither
  std::string tls_key = {};

  size_t header_bytes = size_t{16} << 10;
  size_t body_bytes = size_t{8} << 20;
  size_t all_body_bytes = size_t{256} << 20;  // of all requests being read or answered
  size_t output_bytes = size_t{1} << 20;      // that one client may leave unread
  int max_connections = 16384;
  std::chrono::milliseconds header_time{10'000};  // from a request's first byte to its head's last
  std::chrono::milliseconds body_time{60'000};
  std::chrono::milliseconds write_time{30'000};  // for a client to take what waits for it
  std::chrono::milliseconds idle_time{120'000};  // between two requests
  // What a client may go on sending after its request was refused: until it has been silent for so
  // long, in all, and so many bytes.
  std::chrono::milliseconds linger_silence{2'000};
  std::chrono::milliseconds linger_time{30'000};
  size_t linger_bytes = size_t{64} << 20;
};

using HttpHandler = std::function<void(HttpRequest, std::shared_ptr<Exchange>)>;
// The answer to what is refused before the handler: the body in the API's own shape.
using HttpRefusal = std::function<HttpResponse(int status, const std::string& message)>;

class HttpServer {
 public:
  static Result<std::unique_ptr<HttpServer>> start(const HttpOptions& options, HttpHandler handler,
                                                   HttpRefusal refusal);
  ~HttpServer();  // cuts what is still open
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const;
  int connections() const;
  // Takes no new connections or requests and closes idle connections; requests being answered go
  // on. True once none is left, false if some are after `limit`.
  bool drain(std::chrono::milliseconds limit);

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fathom::serve
