#include "plan/queueing.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "plan/closed_loop.h"
#include "plan/service_rates.h"

namespace fathom::plan {
namespace {

// How many are there when one more comes, with the chances of it.
class Numbers {
 public:
  Numbers(const ServiceStates& states, double most, double rate) {
    double weight = 1;
    double sum = 1;
    chances_.push_back(1);
    const auto limit = static_cast<size_t>(most);
    // Beyond the most that run, a geometric tail; as far as it matters.
    const double last = rate / states.at(most).rate;
    for (size_t n = 1; n < limit + 5000 && weight > 1e-7 * sum; ++n) {
      weight *= n < limit ? rate / states.at(static_cast<double>(n)).rate : last;
      chances_.push_back(weight);
      sum += weight;
    }
    for (double& chance : chances_) chance /= sum;
  }

  double idle() const { return chances_.front(); }
  double mean() const {
    double sum = 0;
    for (size_t n = 0; n < chances_.size(); ++n) sum += static_cast<double>(n) * chances_[n];
    return sum;
  }
  double quantile(double share) const {
    double below = 0;
    for (size_t n = 0; n < chances_.size(); ++n) {
      if (below + chances_[n] >= share) {
        return static_cast<double>(n) + (share - below) / chances_[n] - 0.5;
      }
      below += chances_[n];
    }
    return static_cast<double>(chances_.size() - 1);
  }

 private:
  std::vector<double> chances_;
};

struct Seen {
  double base = 0;   // the request's own prompt
  double extra = 0;  // waiting for others, on average
};

// The parts above are approximated one by one, so a higher share may come out lower.
Percentiles rising(Percentiles p) {
  p.p90 = std::max(p.p50, p.p90);
  p.p99 = std::max(p.p90, p.p99);
  return p;
}

Seen time_to_first(const ServiceStates& states, double others, double most) {
  const double n = std::max(others, 0.0) + 1;
  const ServiceState state = states.at(std::min(n, most));
  Seen seen{.base = state.alone, .extra = std::max(state.prefill - state.alone, 0.0)};
  // It comes somewhere within a step.
  if (others > 0) seen.extra += std::min(others, 1.0) * state.token / 2;
  if (n > most) seen.extra += (n - most) / state.rate;
  return seen;
}

Percentiles sessions_ttft(const ClosedLoop& loop, const LengthFacts& prompt) {
  const double middle = loop.own(prompt.p50) + loop.wait(0.5);
  const auto at = [&](double share, double rows) {
    const double by_length = loop.own(rows) - loop.own(prompt.p50);
    const double by_others = loop.wait(share) - loop.wait(0.5);
    return middle + std::sqrt(by_length * by_length + by_others * by_others);
  };
  return rising({.mean = loop.own(prompt.mean) + loop.mean_wait(),
                 .p50 = middle,
                 .p90 = at(0.9, prompt.p90),
                 .p99 = at(0.99, prompt.p99)});
}

}  // namespace

QueueEstimate estimate_queue(const ServerModel& server, const Demand& demand,
                             StepSeconds step_seconds) {
  const double room =
      static_cast<double>(server.cache_tokens) / (demand.prompt.mean + demand.output.mean / 2);
  const double most_running =
      std::clamp(std::floor(room), 1.0, static_cast<double>(server.max_running));
  const StepTable table(server, demand, most_running, step_seconds);
  const ServiceStates states(table, server, demand, most_running);
  const double most = states.most_within(server.pace.target_seconds);

  QueueEstimate estimate;
  estimate.most_requests_per_second = states.at(most).rate;
  const double prompt_p50 = demand.computed.p50 / demand.computed.mean;
  const double prompt_p90 = demand.computed.p90 / demand.computed.mean;
  const double prompt_p99 = demand.computed.p99 / demand.computed.mean;
  if (demand.sessions > 0) {
    const double running = std::min(demand.sessions, most);
    const ServiceState state = states.at(running);
    estimate.requests_per_second = state.rate;
    estimate.utilisation = 1;
    estimate.mean_batch = state.decoding;
    estimate.mean_running = estimate.running_p99 = running;
    const double wait = std::max(demand.sessions - most, 0.0) / state.rate;
    estimate.ttft_seconds =
        sessions_ttft(ClosedLoop(table, server, demand, state, running), demand.computed);
    for (double* seconds : {&estimate.ttft_seconds.mean, &estimate.ttft_seconds.p50,
                            &estimate.ttft_seconds.p90, &estimate.ttft_seconds.p99}) {
      *seconds += wait;
    }
    estimate.itl_seconds = {
        .mean = state.token, .p50 = state.token, .p90 = state.token, .p99 = state.token};
    return estimate;
  }

  const double rate = demand.requests_per_second;
  estimate.keeps_up = rate < estimate.most_requests_per_second;
  estimate.requests_per_second = std::min(rate, estimate.most_requests_per_second);
  // Near the limit, the numbers of a load that can just be borne.
  const Numbers numbers(states, most, std::min(rate, 0.99 * estimate.most_requests_per_second));
  estimate.utilisation = estimate.keeps_up ? 1 - numbers.idle() : 1;
  const double mean = estimate.keeps_up ? numbers.mean() : most;
  estimate.mean_running = std::min(mean, most);
  estimate.running_p99 = std::clamp(numbers.quantile(0.99) + 1, 1.0, most);
  estimate.mean_batch = std::min(std::max(states.at(std::max(mean, 1.0)).decoding, 1.0), most);

  const auto token_at = [&](double share) {
    // A request sees an average over its own time, in which numbers change: of a process whose
    // memory is as long as that, two thirds of the variance are left.
    const double others = numbers.quantile(share);
    const double seen = mean + std::sqrt(2.0 / 3) * (others - mean);
    return states.at(std::min(std::max(seen, 0.0) + 1, most)).token;
  };
  estimate.itl_seconds = {.mean = states.at(std::min(mean + 1, most)).token,
                          .p50 = token_at(0.5),
                          .p90 = token_at(0.9),
                          .p99 = token_at(0.99)};

  const Seen typical = time_to_first(states, mean, most);
  const auto first_at = [&](double share, double prompt_share) {
    const Seen seen = time_to_first(states, numbers.quantile(share), most);
    const double by_length = typical.base * (prompt_share - prompt_p50);
    const double by_others = std::max(seen.base + seen.extra - typical.base, 0.0);
    const double middle = typical.base * prompt_p50;
    return middle + std::sqrt(by_length * by_length + by_others * by_others);
  };
  estimate.ttft_seconds = rising({.mean = typical.base + typical.extra,
                                  .p50 = first_at(0.5, prompt_p50),
                                  .p90 = first_at(0.9, prompt_p90),
                                  .p99 = first_at(0.99, prompt_p99)});
  return estimate;
}

}  // namespace fathom::plan
