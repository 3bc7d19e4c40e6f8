// A server that says whatever a test wants it to say, byte by byte, to each request of a client.
// Loopback only; a thread for each connection.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace fathom::test {

class FakeServer {
 public:
  struct Request {
    std::string head;
    std::string body;
    int number = 0;  // of those so far that asked for an answer, from 0 on
  };
  using Send = std::function<void(std::string_view)>;
  // Answers POST requests; false closes the connection. GET requests are answered with a list of
  // one model, "fake".
  using Handler = std::function<bool(const Request&, const Send&)>;

  explicit FakeServer(Handler handler);
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  uint16_t port() const { return port_; }
  std::string url() const;
  // Takes no more connections and ends those that are open.
  void stop();
  std::vector<Request> requests() const;  // POST alone

 private:
  void accept();
  void serve(int socket);

  Handler handler_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;  // guards the rest
  std::vector<Request> requests_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// A whole answer of `tokens` events, with usage if `usage`, as server-sent events in chunks.
std::string streamed(int tokens, bool usage = true);
// A head that begins a stream, and a chunk of one.
std::string stream_head();
std::string chunk(std::string_view bytes);
std::string text_event(std::string_view text);
std::string response(std::string_view status, std::string_view body,
                     std::string_view headers = "Content-Type: application/json\r\n");

}  // namespace fathom::test
