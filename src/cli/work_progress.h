// A line on standard error that says how far some work has come: only on a terminal, only when
// it takes more than a second, and gone afterwards.
#pragma once

#include <chrono>
#include <string>

namespace fathom::cli {

class WorkProgress {
 public:
  // label: what is being done, "Loading the model".
  explicit WorkProgress(std::string label);
  ~WorkProgress();
  WorkProgress(const WorkProgress&) = delete;
  WorkProgress& operator=(const WorkProgress&) = delete;

  void show(double fraction);  // in [0, 1]

 private:
  std::string label_;
  std::chrono::steady_clock::time_point start_;
  bool terminal_;
  int shown_percent_ = -1;
};

}  // namespace fathom::cli
