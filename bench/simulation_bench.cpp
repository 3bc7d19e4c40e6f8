// How fast the planner's simulation and its closed formula are (docs/planning.md).
//
//   build/bench/simulation_bench
//
// A 10,000-session closed loop and 10,000 requests by chance, on a server whose steps take about as
// long as those of a 7B model on a laptop; then the formula for 1,000 loads.
#include <fmt/format.h>

#include <chrono>

#include "plan/queueing.h"
#include "plan/simulation.h"

namespace {

using namespace fathom::plan;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

Workload workload_of(double rate, int64_t sessions) {
  Workload workload;
  workload.requests_per_second = rate;
  workload.sessions = sessions;
  workload.prompt_tokens = *fathom::loadtest::Lengths::parse("lognormal:300,0.6", "");
  workload.output_tokens = *fathom::loadtest::Lengths::parse("lognormal:150,0.5", "");
  return workload;
}

}  // namespace

int main() {
  const auto seconds_of_step = [](const StepWork& work) {
    return 0.08 + 0.004 * work.decode_rows + 0.006 * work.prompt_rows +
           2e-8 * work.decode_rows * work.decode_context;
  };
  const ServerModel server{.cache_tokens = 400'000, .max_waiting = 10'000};
  const auto report = [&](std::string_view name, const Workload& workload, int64_t requests) {
    const auto begin = Clock::now();
    const auto run = simulate(server, workload, seconds_of_step, {.requests = requests});
    const double wall = since(begin);
    if (!run) {
      fmt::print("{}\n", run.error().message);
      return;
    }
    fmt::print("{}: {} answers, {} steps, {:.0f} s simulated in {:.2f} s: {:.0f} times real time\n",
               name, run->answered, run->steps, run->seconds, wall, run->seconds / wall);
  };
  report("10000 sessions", workload_of(0, 10'000), 20'000);
  report("10000 requests by chance", workload_of(0.3, 0), 10'000);

  Demand demand = demand_of(workload_of(1, 0));
  const auto begin = Clock::now();
  double sum = 0;
  for (int i = 1; i <= 1000; ++i) {
    demand.requests_per_second = 0.0005 * i;
    sum += estimate_queue(server, demand, seconds_of_step).utilisation;
  }
  fmt::print("1000 estimates in {:.3f} s (mean utilisation {:.2f})\n", since(begin), sum / 1000);
  return 0;
}
