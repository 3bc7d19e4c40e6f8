// Many requests to a serving engine, so many at a time that a batch is full and their caches fit.
// Whoever asks submits them one by one and finishes; their sinks report each end here.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>

#include "base/result.h"
#include "engine/serving_engine.h"

namespace fathom {

class RequestBoard {
 public:
  // on_done: called by the thread that submits, with how many are done; false ends the work. May be
  // empty.
  explicit RequestBoard(const std::function<bool(size_t done)>& on_done) : on_done_(on_done) {}

  // From a sink's on_end(), on any thread.
  void ended(const AnswerEnd& end);

  // Waits for room first. Fails with the first error of any request, and when on_done says no.
  Status submit(ServingEngine& engine, Request request);
  // Until all have ended.
  Status finish() { return wait(0); }

 private:
  Status wait(size_t most_open);

  const std::function<bool(size_t done)>& on_done_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t open_ = 0;
  size_t done_ = 0;
  std::optional<Error> error_;
};

}  // namespace fathom
