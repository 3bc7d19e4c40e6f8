#include "cli/plan_verify.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "checkpoint/checkpoint.h"
#include "cli/loopback_server.h"
#include "cli/serve_costs.h"
#include "cli/terminal.h"
#include "engine/engine.h"

namespace fathom::cli {
namespace {

struct Load {
  const char* name;
  double share;  // of the highest rate that it keeps up with
};
constexpr Load kLoads[] = {{"light load", 0.15}, {"half load", 0.5}, {"near saturation", 0.85}};

double d(int64_t n) {
  return static_cast<double>(n);
}

// Speeds and memory, as fathom bench runs the model.
Result<std::vector<Comparison>> verify_steps(const VerifyRequest& request) {
  const int64_t resident_before = resident_bytes();
  FATHOM_TRY(const auto path, find_model(request.model));
  FATHOM_TRY(const auto checkpoint, Checkpoint::open(path));
  ThreadOptions threads(request.model.threads);
  threads.pin = request.model.pin;
  threads.numa = !request.model.no_numa;
  const auto kernels = Kernels::make(KernelChoice::kAuto, threads);
  FATHOM_TRY(const auto model, LanguageModel::load(*checkpoint, *kernels));
  std::vector<plan::BenchLine> lines = usual_bench_lines(checkpoint->config().context);
  FATHOM_CHECK(measure_lines(lines, *model));

  plan::Deployment deployment = request.deployment;
  deployment.cache = model->cache_layout().type;
  deployment.max_batch_tokens = model->max_batch_tokens();
  deployment.max_running = 64;  // the largest batch of the lines
  const std::string& name = deployment.model.title;
  std::vector<Comparison> rows;
  rows.reserve(lines.size() + 1);
  // No server here: of the program, what was there before.
  const plan::MemoryUse use = plan::memory_of(deployment, 0);
  rows.push_back({.model = name,
                  .what = "memory",
                  .unit = "MB",
                  .predicted = (use.weights + use.activations + d(resident_before)) / 1e6,
                  .measured = d(resident_bytes()) / 1e6});
  const plan::UnitCounter counter(deployment.model, deployment.cache);
  for (const plan::BenchLine& line : lines) {
    rows.push_back({.model = name,
                    .what = line.label(),
                    .unit = "tokens/s",
                    .predicted = predicted_speed(line, counter, deployment.max_batch_tokens,
                                                 *deployment.hardware.costs),
                    .measured = line.tokens_per_second});
  }
  return rows;
}

// The highest rate that the prediction keeps up with, by bisection.
double highest_rate(const VerifyRequest& request, plan::Workload workload) {
  const auto keeps_up = [&](double rate) {
    workload.requests_per_second = rate;
    return request.predict(request.deployment, workload).keeps_up;
  };
  double low = 0.01;
  double high = low;
  while (high < 1e4 && keeps_up(high)) {
    low = high;
    high *= 2;
  }
  for (int i = 0; i < 6; ++i) {
    const double middle = std::sqrt(low * high);
    (keeps_up(middle) ? low : high) = middle;
  }
  return low;
}

void add_spread(std::vector<Comparison>& rows, const std::string& model, const std::string& what,
                const plan::Percentiles& predicted, const loadtest::Spread& measured) {
  rows.push_back({.model = model,
                  .what = fmt::format("{} p50", what),
                  .unit = "ms",
                  .predicted = 1e3 * predicted.p50,
                  .measured = 1e3 * measured.p50});
  rows.push_back({.model = model,
                  .what = fmt::format("{} p90", what),
                  .unit = "ms",
                  .predicted = 1e3 * predicted.p90,
                  .measured = 1e3 * measured.p90});
}

Status verify_loads(const VerifyRequest& request, std::vector<Comparison>& rows) {
  const plan::Deployment& deployment = request.deployment;
  FATHOM_TRY(const Model model, load_model(request.model));
  loadtest::WorkloadOptions lengths;
  lengths.seed = request.workload.seed;
  // A word is about one token; how many exactly is counted.
  lengths.prompt_words = request.workload.prompt_tokens;
  lengths.output_tokens = request.workload.output_tokens;
  FATHOM_TRY(const double prompt_tokens, mean_prompt_tokens(model, loadtest::Workload(lengths)));
  plan::Workload planned = request.workload;
  planned.trace.clear();
  planned.sessions = 0;
  FATHOM_TRY(planned.prompt_tokens,
             loadtest::Lengths::parse(fmt::format("{:.0f}", prompt_tokens), "the prompts' length"));
  const double highest = highest_rate(request, planned);
  std::vector<plan::Prediction> predictions;
  predictions.reserve(std::size(kLoads));
  int64_t cached_tokens = 0;  // as the plan's command gives the cache for the highest load
  double other_memory = 0;
  for (const Load& load : kLoads) {
    planned.requests_per_second = load.share * highest;
    const plan::Prediction& predicted =
        predictions.emplace_back(request.predict(deployment, planned));
    cached_tokens = std::max(cached_tokens, predicted.kv_tokens);
    other_memory = std::max(other_memory, predicted.memory.total() - predicted.memory.cache);
  }
  ServingOptions options;
  options.context = deployment.context;
  options.max_running = deployment.max_running;
  options.kv_memory = cached_tokens * deployment.model.cache_bytes_per_token(deployment.cache);
  FATHOM_TRY(const auto served, LoopbackServer::start(model, options));
  const std::string& name = deployment.model.title;
  rows.reserve(rows.size() + 13);
  for (size_t i = 0; i < predictions.size(); ++i) {
    const Load& load = kLoads[i];
    const plan::Prediction& predicted = predictions[i];
    ++lengths.seed;  // prompts that the server has not kept from the load before
    const double rate = load.share * highest;
    note(fmt::format("fathom: {}, {:.2f} requests/s for {:.0f} s\n", load.name, rate,
                     request.seconds));
    loadtest::RunOptions run;
    run.arrivals = loadtest::Arrivals::kPoisson;
    run.rate = rate;
    run.duration = request.seconds;
    FATHOM_TRY(const loadtest::Summary measured, served->put(run, loadtest::Workload(lengths)));
    add_spread(rows, name, fmt::format("TTFT, {}", load.name), predicted.ttft_seconds,
               measured.first_token);
    add_spread(rows, name, fmt::format("ITL, {}", load.name), predicted.itl_seconds,
               measured.inter_token);
  }
  rows.push_back({.model = name,
                  .what = "memory, after the loads",
                  .unit = "MB",
                  .predicted = (other_memory + d(options.kv_memory)) / 1e6,
                  .measured = d(resident_bytes()) / 1e6});
  return {};
}

}  // namespace

Result<std::vector<Comparison>> verify(const VerifyRequest& request) {
  if (request.deployment.hardware.costs == nullptr ||
      !request.deployment.hardware.fathom_runs_here) {
    return usage_error(
        "{} is not this machine: there is nothing to verify a plan for it with here.",
        request.deployment.hardware.name);
  }
  FATHOM_TRY(std::vector<Comparison> rows, verify_steps(request));
  FATHOM_CHECK(verify_loads(request, rows));
  return rows;
}

Result<int> verify_plan(const VerifyRequest& request) {
  FATHOM_TRY(const auto rows, verify(request));
  print(request.json ? comparison_json(rows)
                     : comparison_table(rows, {"memory", "prefill", "decode", "TTFT", "ITL"}));
  return 0;
}

}  // namespace fathom::cli
