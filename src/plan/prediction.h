// What a deployment is predicted to do under a workload. `simulate` (simulation.h) makes one by
// running the real scheduler with a simulated clock; `estimate` by a closed formula, for ranking
// many. Plain data.
#pragma once

#include <cstdint>
#include <string>

#include "plan/demand.h"
#include "plan/deployment.h"
#include "plan/workload.h"

namespace fathom::plan {

struct Percentiles {
  double mean = 0;
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
};

struct Prediction {
  bool simulated = false;  // else estimated
  bool keeps_up = true;    // false: the queue grows without bound at this load
  double utilisation = 0;  // share of time in which a server computes
  Percentiles ttft_seconds = {};
  Percentiles itl_seconds =
      {};  // (last - first) / (tokens - 1) of each request, as loadtest counts it
  double output_tokens_per_second = 0;  // of all copies, at the offered load
  double requests_per_second = 0;
  double most_requests_per_second = 0;  // that all copies can answer, by the formula
  double mean_batch = 0;                // sequences that decode together, of one server
  double cached_tokens = 0;             // in the KV cache of one server, at the 99th percentile
  int64_t kv_tokens = 0;                // room in that cache, as the command gives it
  int64_t preemptions = 0;              // of one server, where it was simulated
  // With that cache full, as beginnings are kept while there is room, and with as many sequences in
  // a step as this load makes.
  MemoryUse memory = {};
  StepTime step = {};       // the typical decode step, for what it is bound by
  double watts = 0;         // of all devices
  double usd_per_hour = 0;  // rent or write-off, and energy
  double usd_per_million_requests = 0;
  double usd_per_million_tokens = 0;  // of output
};

// The closed formula (queueing.h), in well under a millisecond. Costs are cost.h's to add.
Prediction estimate(const Deployment& deployment, const Workload& workload);
Prediction estimate(const Deployment& deployment, const Demand& demand);

}  // namespace fathom::plan
