#include "plan/arrivals.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace fathom::plan {

Arrivals::Arrivals(const Workload& workload, int64_t requests)
    : workload_(workload), lengths_(workload.seed), gaps_(workload.seed ^ 0x9e3779b97f4a7c15U) {
  left_ = workload.trace.empty() ? requests : std::ssize(workload.trace);
  if (workload.sessions > 0) {
    for (int64_t i = 0; i < std::min(workload.sessions, left_); ++i) ready_.push_back(0);
  } else {
    next_ = next_time();
  }
}

double Arrivals::next() const {
  if (left_ == 0) return kNever;
  if (closed()) return ready_.empty() ? kNever : ready_.front();
  return next_;
}

Arrivals::Drawn Arrivals::take() {
  Drawn drawn{.at = next()};
  if (!workload_.trace.empty()) {
    const PastRequest& request = workload_.trace[static_cast<size_t>(taken_)];
    drawn.prompt = request.prompt_tokens;
    drawn.output = request.output_tokens;
  } else {
    drawn.prompt = workload_.prompt_tokens.draw(lengths_) + workload_.shared_prefix_tokens;
    drawn.output = workload_.output_tokens.draw(lengths_);
  }
  --left_;
  ++taken_;
  if (closed()) {
    ready_.pop_front();
  } else if (left_ > 0) {
    next_ = next_time();
  }
  return drawn;
}

void Arrivals::free_at(double time) {
  if (closed()) ready_.push_back(time);
}

double Arrivals::next_time() {
  if (!workload_.trace.empty()) {
    return workload_.trace[static_cast<size_t>(taken_)].at - workload_.trace.front().at;
  }
  return next_ - std::log(1 - loadtest::uniform(gaps_)) / workload_.requests_per_second;
}

}  // namespace fathom::plan
