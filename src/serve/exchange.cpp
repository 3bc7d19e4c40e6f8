#include "serve/exchange.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace fathom::serve {

void Exchange::add_head(const HttpResponse& response, bool with_length) {
  auto out = std::back_inserter(output_);
  fmt::format_to(out, "HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  if (!response.content_type.empty()) {
    fmt::format_to(out, "Content-Type: {}\r\n", response.content_type);
  }
  for (const auto& [name, value] : response.headers) {
    fmt::format_to(out, "{}: {}\r\n", name, value);
  }
  if (with_length) {
    if (response.status != 204 && response.status != 304) {
      fmt::format_to(out, "Content-Length: {}\r\n", response.body.size());
    }
  } else if (options_.chunked) {
    output_ += "Transfer-Encoding: chunked\r\n";
  }
  fmt::format_to(out, "Connection: {}\r\n\r\n", options_.keep_alive ? "keep-alive" : "close");
}

void Exchange::respond(const HttpResponse& response) {
  std::unique_lock lock(mutex_);
  if (ended_ || gone_) return;
  add_head(response, true);
  if (!options_.head_only) output_ += response.body;
  ended_ = true;
  notify(std::move(lock));
}

void Exchange::begin(const HttpResponse& head) {
  std::unique_lock lock(mutex_);
  if (ended_ || gone_) return;
  add_head(head, false);
  notify(std::move(lock));
}

bool Exchange::write(std::string_view text) {
  std::unique_lock lock(mutex_);
  if (gone_ || ended_) return false;
  if (text.empty() || options_.head_only) return true;
  if (output_.size() + text.size() > options_.output_limit) {
    broken_ = true;
    gone_ = true;
    output_.clear();
    auto when_gone = std::exchange(when_gone_, nullptr);
    notify(std::move(lock));
    if (when_gone) when_gone();
    return false;
  }
  if (options_.chunked) {
    fmt::format_to(std::back_inserter(output_), "{:x}\r\n", text.size());
    output_ += text;
    output_ += "\r\n";
  } else {
    output_ += text;
  }
  notify(std::move(lock));
  return true;
}

void Exchange::end() {
  std::unique_lock lock(mutex_);
  if (gone_ || ended_) return;
  if (options_.chunked && !options_.head_only) output_ += "0\r\n\r\n";
  ended_ = true;
  notify(std::move(lock));
}

void Exchange::abort() {
  std::unique_lock lock(mutex_);
  if (ended_) return;
  broken_ = true;
  gone_ = true;
  notify(std::move(lock));
}

bool Exchange::gone() const {
  const std::lock_guard lock(mutex_);
  return gone_;
}

void Exchange::on_gone(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone_) {
      when_gone_ = std::move(callback);
      return;
    }
  }
  callback();
}

void Exchange::on_output(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

Exchange::Output Exchange::take() {
  const std::lock_guard lock(mutex_);
  return {std::exchange(output_, {}), ended_, broken_};
}

void Exchange::client_gone() {
  std::function<void()> when_gone;
  {
    const std::lock_guard lock(mutex_);
    // Whoever answers holds what the callbacks hold: let go of them in any case.
    when_gone = std::exchange(when_gone_, nullptr);
    wake_ = nullptr;
    if (gone_ || ended_) return;
    gone_ = true;
    output_.clear();
  }
  if (when_gone) when_gone();
}

bool Exchange::broken() const {
  const std::lock_guard lock(mutex_);
  return broken_;
}

// The callback is called outside the lock: it may end in take().
void Exchange::notify(std::unique_lock<std::mutex> lock) {
  auto wake = wake_;
  lock.unlock();
  if (wake) wake();
}

}  // namespace fathom::serve
