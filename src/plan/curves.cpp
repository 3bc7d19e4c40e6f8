#include "plan/curves.h"

#include <array>
#include <cmath>

namespace fathom::plan {

std::vector<svg::Point> cost_over_volume(const Deployment& deployment, const Prediction& prediction,
                                         const Prices& prices) {
  constexpr int kFirst = 4;
  constexpr int kLast = 9;
  constexpr int kSteps = 8;  // for each power of ten
  std::vector<svg::Point> points;
  if (!hourly_cost(deployment, prediction.watts, prices).known) return points;
  const CostModel model = cost_model(deployment, prediction, prices);
  points.reserve((kLast - kFirst) * kSteps + 1);
  for (int i = 0; i <= (kLast - kFirst) * kSteps; ++i) {
    const double requests = std::pow(10.0, kFirst + static_cast<double>(i) / kSteps);
    points.push_back({requests, month_usd(model, requests)});
  }
  return points;
}

std::vector<LatencyAtLoad> latency_over_load(const Deployment& deployment, const Demand& demand,
                                             const Prediction& prediction) {
  constexpr std::array kShares{0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95};
  std::vector<LatencyAtLoad> points;
  points.reserve(kShares.size());
  Demand asked = demand;
  asked.sessions = 0;
  for (const double share : kShares) {
    asked.requests_per_second = share * prediction.most_requests_per_second;
    if (asked.requests_per_second <= 0) break;
    const Prediction at = estimate(deployment, asked);
    if (!at.keeps_up) break;
    points.push_back({.requests_per_second = asked.requests_per_second,
                      .ttft_ms = 1000 * at.ttft_seconds.p90,
                      .itl_ms = 1000 * at.itl_seconds.p90});
  }
  return points;
}

}  // namespace fathom::plan
