// What plots of a deployment show: its cost over the volume of requests, and its latency over the
// load. Pure functions; any thread.
#pragma once

#include <vector>

#include "base/svg.h"
#include "plan/cost.h"
#include "plan/demand.h"
#include "plan/deployment.h"
#include "plan/prediction.h"

namespace fathom::plan {

// US dollars a month over requests a month, from 10^4 to 10^9; empty where the hardware's cost is
// not known.
std::vector<svg::Point> cost_over_volume(const Deployment& deployment, const Prediction& prediction,
                                         const Prices& prices);

struct LatencyAtLoad {
  double requests_per_second = 0;
  double ttft_ms = 0;  // at the 90th percentile
  double itl_ms = 0;
};
// By the closed formula, from light load to 95% of what it can bear.
std::vector<LatencyAtLoad> latency_over_load(const Deployment& deployment, const Demand& demand,
                                             const Prediction& prediction);

}  // namespace fathom::plan
