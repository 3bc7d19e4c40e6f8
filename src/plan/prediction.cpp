#include "plan/prediction.h"

#include <algorithm>
#include <cmath>

#include "plan/cost.h"
#include "plan/queueing.h"
#include "plan/simulation.h"

namespace fathom::plan {
namespace {

constexpr double kPage = CachePool::kPageTokens;
// Of what the cache may hold, some is left to the system and for what grows.
constexpr double kUsableShare = 0.95;

Demand of_server(Demand demand, int servers) {
  demand.requests_per_second /= servers;
  if (demand.sessions > 0) demand.sessions = std::ceil(demand.sessions / servers);
  return demand;
}

// Of few sessions not every server has one.
double servers_in_use(const Demand& all, const Demand& of_one, int servers) {
  return all.sessions > 0 ? all.sessions / of_one.sessions : servers;
}

StepWork decode_work(double batch, double context) {
  return {.decode_rows = batch, .decode_context = context, .logits = batch};
}

// Between idle and the draw of steps as they are.
double watts_of(const Deployment& deployment, const StepTimer& timer, const StepTime& step,
                double utilisation) {
  const double idle = deployment.hardware.idle_watts * deployment.devices();
  const double busy = timer.watts(step) * deployment.servers();
  return idle + utilisation * std::max(busy - idle, 0.0);
}

// Room for twice what so many need, so that beginnings are kept and nobody is preempted, as far as
// there is memory.
int64_t cache_tokens_for(const Deployment& deployment, const Demand& demand, double running) {
  const double free = std::max(cache_tokens_that_fit(deployment), 0.0) * kUsableShare;
  const double longest = std::min(demand.largest_sum, static_cast<double>(deployment.context));
  const double wanted =
      std::max(2 * running * (demand.prompt.mean + demand.output.mean),
               std::max(longest, static_cast<double>(deployment.context)) + kPage);
  return static_cast<int64_t>(std::floor(std::min(free, wanted) / kPage) * kPage);
}

ServerModel largest_server(const Deployment& deployment, const Demand& demand) {
  ServerModel server;
  server.context = deployment.context;
  server.reads = deployment.model.weight_reads();
  server.max_running = deployment.max_running;
  server.max_batch_tokens = std::max(deployment.max_batch_tokens, deployment.max_running);
  server.max_waiting =
      std::max<int64_t>(server.max_waiting, std::llround(std::ceil(demand.sessions)));
  server.cache_tokens =
      cache_tokens_for(deployment, demand, static_cast<double>(deployment.max_running));
  return server;
}

// A request's own time, outside of steps: every first token comes later by it.
Percentiles later(Percentiles times, const Hardware& hardware) {
  const double seconds = hardware.costs != nullptr ? hardware.costs->serve_request_seconds : 0;
  for (double* time : {&times.mean, &times.p50, &times.p90, &times.p99}) *time += seconds;
  return times;
}

struct Sized {
  ServerModel server;
  QueueEstimate queue;
};

// `part`: of the load, one server's.
Sized sized(const Deployment& deployment, const Demand& part, const StepTimer& timer) {
  const auto seconds = [&timer](const StepWork& work) { return timer.time(work).seconds; };
  Sized sized{.server = largest_server(deployment, part), .queue = {}};
  sized.queue = estimate_queue(sized.server, part, seconds);
  const double running = sized.queue.keeps_up ? sized.queue.running_p99 + 1
                                              : static_cast<double>(deployment.max_running);
  sized.server.cache_tokens =
      std::min(sized.server.cache_tokens, cache_tokens_for(deployment, part, running));
  return sized;
}

// Activations grow with the sequences of a step; these are those of the load.
MemoryUse memory_under(Deployment deployment, int64_t cached_tokens, double sequences) {
  const auto most = static_cast<int64_t>(std::ceil(std::max(sequences, 1.0)));
  deployment.max_running = std::min(deployment.max_running, most);
  return memory_of(deployment, static_cast<double>(cached_tokens));
}

}  // namespace

ServerModel server_of(const Deployment& deployment, const Workload& workload) {
  const StepTimer timer(deployment);
  return sized(deployment, of_server(demand_of(workload), deployment.servers()), timer).server;
}

Prediction estimate(const Deployment& deployment, const Workload& workload) {
  return estimate(deployment, demand_of(workload));
}

Prediction estimate(const Deployment& deployment, const Demand& demand) {
  const StepTimer timer(deployment);
  const Demand part = of_server(demand, deployment.servers());
  const double in_use = servers_in_use(demand, part, deployment.servers());
  const auto [server, queue] = sized(deployment, part, timer);
  Prediction prediction;
  prediction.keeps_up = queue.keeps_up;
  prediction.utilisation = queue.utilisation;
  prediction.ttft_seconds = later(queue.ttft_seconds, deployment.hardware);
  prediction.itl_seconds = queue.itl_seconds;
  prediction.requests_per_second = queue.requests_per_second * in_use;
  prediction.most_requests_per_second = queue.most_requests_per_second * deployment.servers();
  prediction.output_tokens_per_second = prediction.requests_per_second * demand.output.mean;
  prediction.mean_batch = queue.mean_batch;
  const double context = demand.prompt.mean + demand.output.mean / 2;
  prediction.cached_tokens = queue.running_p99 * context;
  prediction.kv_tokens = server.cache_tokens;
  prediction.memory = memory_under(deployment, server.cache_tokens, queue.running_p99);
  prediction.step = timer.time(decode_work(std::max(queue.mean_batch, 1.0), context));
  prediction.watts = watts_of(deployment, timer, prediction.step, queue.utilisation);
  return prediction;
}

Result<Prediction> simulate(const Deployment& deployment, const Workload& workload,
                            const SimulationOptions& options) {
  const StepTimer timer(deployment);
  const Demand demand = demand_of(workload);
  const Demand part = of_server(demand, deployment.servers());
  const auto [server, queue] = sized(deployment, part, timer);
  const Workload share = share_of(workload, deployment.servers());
  FATHOM_TRY(const Simulation run,
             simulate(
                 server, share, [&timer](const StepWork& work) { return timer.time(work).seconds; },
                 options));
  const double in_use = servers_in_use(demand, part, deployment.servers());
  Prediction prediction;
  prediction.simulated = true;
  prediction.keeps_up = !run.queue_grows && run.refused == 0 && run.answered > 0;
  prediction.utilisation = run.seconds > 0 ? run.busy_seconds / run.seconds : 0;
  prediction.ttft_seconds = later(run.ttft_seconds, deployment.hardware);
  prediction.itl_seconds = run.itl_seconds;
  prediction.requests_per_second = run.requests_per_second * in_use;
  prediction.most_requests_per_second = queue.most_requests_per_second * deployment.servers();
  prediction.output_tokens_per_second = run.output_tokens_per_second * in_use;
  prediction.mean_batch = run.mean_batch;
  prediction.cached_tokens = run.cached_tokens_p99;
  prediction.preemptions = static_cast<int64_t>(run.preemptions);
  prediction.kv_tokens = server.cache_tokens;
  prediction.memory =
      memory_under(deployment, server.cache_tokens, static_cast<double>(run.most_batch));
  prediction.step = timer.time(decode_work(std::max(run.mean_batch, 1.0), run.mean_context));
  prediction.watts = watts_of(deployment, timer, prediction.step, prediction.utilisation);
  return prediction;
}

}  // namespace fathom::plan
