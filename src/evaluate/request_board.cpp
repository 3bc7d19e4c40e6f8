#include "evaluate/request_board.h"

#include <chrono>
#include <utility>

namespace fathom {
namespace {

// Enough to fill a batch, few enough that their caches fit.
constexpr size_t kTogether = 32;

}  // namespace

void RequestBoard::ended(const AnswerEnd& end) {
  const std::lock_guard lock(mutex_);
  if (end.error && !error_) error_ = end.error;
  --open_;
  ++done_;
  changed_.notify_all();
}

Status RequestBoard::wait(size_t most_open) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (error_) return std::unexpected(*error_);
    const size_t done = done_;
    lock.unlock();
    if (on_done_ && !on_done_(done)) return fail("Interrupted.");
    lock.lock();
    if (open_ <= most_open) return {};
    changed_.wait_for(lock, std::chrono::milliseconds(200));
  }
}

Status RequestBoard::submit(ServingEngine& engine, Request request) {
  FATHOM_CHECK(wait(kTogether - 1));
  {
    const std::lock_guard lock(mutex_);
    ++open_;
  }
  if (const auto taken = engine.submit(std::move(request)); !taken) {
    return fail("{}", taken.error().message);
  }
  return {};
}

}  // namespace fathom
