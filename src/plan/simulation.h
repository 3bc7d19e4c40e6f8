// A deployment under load, step by step: the server's own Scheduler and StepPacer, driven with a
// simulated clock instead of a model. Pages are counted in a cache that takes no memory; tokens
// mean nothing, but prompts differ from their first own token on, so that the prefix cache finds
// only what is shared. What a server does between steps is done here too: requests that came during
// a step join the next, and each sequence whose prompt is complete draws a token at a step's end.
//
// One server is simulated, with its share of the load. Everything is drawn from the workload's
// seed, so equal calls give equal results. Functions keep no state; any thread.
#pragma once

#include <cstdint>

#include "base/function_ref.h"
#include "engine/step_pacer.h"
#include "plan/deployment.h"
#include "plan/prediction.h"
#include "plan/workload.h"

namespace fathom::plan {

// What a server was started with.
struct ServerModel {
  int64_t cache_tokens = 0;  // room for keys and values
  int64_t context = 4096;
  int64_t max_running = 256;
  int64_t max_batch_tokens = 512;
  int64_t max_waiting = 1024;  // beyond it, requests are refused
  bool prefix_cache = true;
  StepPace pace = {};
  WeightReads reads = {};
};

struct SimulationOptions {
  int64_t requests = 2000;     // of one server, more for many sessions; of a trace, all
  double warm_up_share = 0.1;  // of the requests, the first, which do not count
};

struct Simulation {
  Percentiles ttft_seconds;
  Percentiles itl_seconds;
  Percentiles queued_seconds;  // from coming to the start of the step that first computes it
  double seconds = 0;          // simulated, all of it
  double busy_seconds = 0;
  double requests_per_second = 0;  // answered, while it was measured
  double output_tokens_per_second = 0;
  double mean_batch = 0;            // sequences in a step that decodes any
  int64_t most_batch = 0;           // the most sequences that drew a token in one step
  double mean_context = 0;          // of them, tokens in the cache
  double mean_in_system = 0;        // requests that wait or run, over time
  double mean_latency_seconds = 0;  // from coming to the last token
  double cached_tokens_p99 = 0;     // in pages of running sequences, at steps' ends
  uint64_t steps = 0;
  uint64_t preemptions = 0;
  int64_t answered = 0;
  int64_t refused = 0;       // the queue was full
  int64_t too_long = 0;      // prompts that the context or the cache cannot hold
  bool queue_grows = false;  // at an open load: it was still growing when the last request came
};

using StepSeconds = FunctionRef<double(const StepWork&)>;

// Fails (kUsage) for workloads that make no sense, and where nothing fits into the cache.
Result<Simulation> simulate(const ServerModel& server, const Workload& workload,
                            StepSeconds step_seconds, const SimulationOptions& options = {});

// One server's part of the load of all: of a trace, every so manyth request.
Workload share_of(const Workload& workload, int servers);

// One server of a deployment, as the command that serve_command() prints starts
// it: cache memory is what the rest leaves free, but no more than max_running sequences can use.
ServerModel server_of(const Deployment& deployment, const Workload& workload);

// The same with the deployment's own step times, as a prediction (without costs: cost.h).
Result<Prediction> simulate(const Deployment& deployment, const Workload& workload,
                            const SimulationOptions& options = {});

}  // namespace fathom::plan
