// A workload in the few numbers that formulas need: means and quantiles of lengths, drawn once, so
// that a thousand deployments can be estimated for it. Plain data; any thread.
#pragma once

#include "plan/workload.h"

namespace fathom::plan {

struct LengthFacts {
  double mean = 1;
  double p50 = 1;
  double p90 = 1;
  double p99 = 1;
  double longest = 1;
  double variation = 0;  // variance over the square of the mean
};

struct Demand {
  double requests_per_second = 0;  // open loop: Poisson, or the mean of the trace
  double sessions = 0;             // closed loop; otherwise 0
  LengthFacts prompt;
  LengthFacts computed;  // of the prompt, what the prefix cache does not have
  LengthFacts output;
  double largest_sum = 2;  // of a prompt and its answer
};

Demand demand_of(const Workload& workload);

// Fails (kUsage) where the workload makes no sense: no load or two kinds of it, numbers that are
// negative, not finite or absurd.
Status validate(const Workload& workload);
Status validate(const Wishes& wishes);

}  // namespace fathom::plan
