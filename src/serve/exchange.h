// One request's answer on its way to the client: whole, or streamed piece by piece (chunked).
//
// Whoever answers may call from any thread; nothing here blocks or touches a socket. The connection
// takes the bytes from the other side. What a client leaves unread is bounded: past `output_limit`
// streamed bytes that are not yet sent, the client counts as gone.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "serve/http_message.h"

namespace fathom::serve {

class Exchange {
 public:
  struct Options {
    bool keep_alive = true;
    bool head_only = false;  // the request was HEAD
    bool chunked = true;  // HTTP/1.0 does not know it: there the end of the connection is the end
    size_t output_limit = size_t{1} << 20;
  };
  explicit Exchange(Options options) : options_(options) {}

  // For whoever answers: respond(), or begin(), write() any number of times, and end().
  void respond(const HttpResponse& response);
  void begin(const HttpResponse& head);
  // False once the client is gone: the rest of the work is in vain.
  bool write(std::string_view text);
  void end();
  // The answer cannot be completed: the connection is cut, so that the client sees it.
  void abort();
  bool gone() const;
  // Called once when the client goes away before the end; at once if it has already.
  void on_gone(std::function<void()> callback);

  // For the connection.
  struct Output {
    std::string bytes;
    bool ended = false;  // nothing more will come
    bool broken = false;
  };
  void on_output(std::function<void()> wake);  // called (from any thread) when there is some
  Output take();
  void client_gone();
  bool broken() const;

 private:
  void add_head(const HttpResponse& response, bool with_length);
  void notify(std::unique_lock<std::mutex> lock);

  const Options options_;
  mutable std::mutex mutex_;
  std::function<void()> wake_;
  std::function<void()> when_gone_;
  std::string output_;
  bool ended_ = false;
  bool gone_ = false;
  bool broken_ = false;
};

}  // namespace fathom::serve
