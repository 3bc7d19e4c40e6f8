// A line on standard error that says how far loading has come: only on a terminal, only when it
// takes more than a second, and gone afterwards.
#pragma once

#include <chrono>

namespace fathom::cli {

class LoadingProgress {
 public:
  LoadingProgress();
  ~LoadingProgress();
  LoadingProgress(const LoadingProgress&) = delete;
  LoadingProgress& operator=(const LoadingProgress&) = delete;

  void show(double fraction);  // in [0, 1]

 private:
  std::chrono::steady_clock::time_point start_;
  bool terminal_;
  int shown_percent_ = -1;
};

}  // namespace fathom::cli
