// The closed formula beside the simulation: a copy of a model as a queue whose speed depends on how
// many it serves (state-dependent processor sharing, whose numbers in the system do not depend on
// how lengths are distributed: Cohen 1979, "The multiple phase service network with generalized
// processor sharing"). docs/planning.md derives it. Pure; any thread.
#pragma once

#include "plan/demand.h"
#include "plan/prediction.h"
#include "plan/simulation.h"

namespace fathom::plan {

struct QueueEstimate {
  bool keeps_up = true;
  double most_requests_per_second = 0;  // that the copy can answer
  double requests_per_second = 0;
  double utilisation = 0;
  double mean_batch = 0;    // sequences that decode together, while any does
  double mean_running = 0;  // with those whose prompt is computed
  double running_p99 = 0;
  Percentiles ttft_seconds;
  Percentiles itl_seconds;
};

// `demand`: of this one copy.
QueueEstimate estimate_queue(const ServerModel& server, const Demand& demand,
                             StepSeconds step_seconds);

}  // namespace fathom::plan
