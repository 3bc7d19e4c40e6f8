// An HTTP/1.1 server on a free port of 127.0.0.1 for tests, with a thread for each connection. A
// handler says what to answer and how the connection is to misbehave. Stops when it is destroyed.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

struct ssl_ctx_st;

namespace fathom::hub {

class HttpServer {
 public:
  struct Request {
    std::string path;                            // with its query
    std::map<std::string, std::string> headers;  // names in lower case
    int number = 0;                              // 0 for the first that came

    std::string header(const std::string& name) const {
      const auto found = headers.find(name);
      return found == headers.end() ? "" : found->second;
    }
  };
  struct Response {
    int status = 200;
    std::map<std::string, std::string> headers = {};
    std::string body = {};
    int64_t drop_after = -1;       // closes the connection after so many bytes of the body
    int64_t bytes_per_second = 0;  // 0: as fast as it goes
  };
  struct Record {
    Request request;
    int status = 0;
    int64_t body_bytes = 0;  // sent
  };
  using Handler = std::function<Response(const Request&)>;

  // tls: with a certificate that nobody has signed.
  explicit HttpServer(Handler handler, bool tls = false);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url() const;
  std::vector<Record> records() const;
  int most_at_once() const { return most_at_once_; }

 private:
  void accept_connections();
  void serve(int socket);

  Handler handler_;
  std::unique_ptr<ssl_ctx_st, void (*)(ssl_ctx_st*)> tls_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> next_number_ = 0;
  std::atomic<int> at_once_ = 0;
  std::atomic<int> most_at_once_ = 0;
  mutable std::mutex mutex_;  // the following
  std::vector<Record> records_;
  std::vector<int> sockets_;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

}  // namespace fathom::hub
