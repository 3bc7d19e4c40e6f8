#include "cli/plan_verify.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "checkpoint/checkpoint.h"
#include "cli/loopback_server.h"
#include "cli/offered_load.h"
#include "cli/plan_fit.h"
#include "cli/serve_costs.h"
#include "cli/step_speed.h"
#include "cli/terminal.h"
#include "layers/cache.h"
#include "plan/demand.h"

namespace fathom::cli {
namespace {

struct Load {
  const char* name;
  double share;  // of the highest rate that it keeps up with
};
constexpr Load kLoads[] = {{"light load", 0.15}, {"half load", 0.5}, {"near saturation", 0.85}};

// Lines of fathom bench that take longer are left out.
constexpr double kMostLineSeconds = 60;
// For percentiles: those wanted, and the fewest that a 90th percentile makes sense of.
constexpr int64_t kEnoughRequests = 40;
constexpr int64_t kFewestRequests = 10;
// Before a load, requests are put on until steps took so long, or so often.
constexpr double kSpeedSeconds = 3;
constexpr int kSpeedRounds = 8;
constexpr double kMostTogether = 32;
// Loads and what comes before them must not ask the same: their seeds lie so far apart.
constexpr uint64_t kSeedsApart = 1000;

double d(int64_t n) {
  return static_cast<double>(n);
}

// What measuring a line takes, as SpeedTest does it: three times, unless that is long.
double bench_seconds(const plan::BenchLine& line, const plan::UnitCounter& counter, int64_t chunk,
                     const plan::StepCosts& costs) {
  const auto seconds = [&](const plan::BenchLine& of) {
    return costs.seconds_of(plan::units_of(of, counter, chunk));
  };
  const double once = seconds(line) * (line.prefill ? 1 : d(line.tokens));
  const double filled = line.context > 0 ? seconds({.prefill = true, .tokens = line.context}) : 0;
  return filled + once * std::clamp(std::ceil(5 / once), 1.0, 3.0);
}

// Those that can be waited for. Says how long they take, and which are left out.
std::vector<plan::BenchLine> lines_of(int64_t context, const plan::UnitCounter& counter,
                                      const plan::Deployment& deployment, double load_minutes) {
  std::vector<plan::BenchLine> lines;
  std::string left_out;
  double all = 0;
  for (const plan::BenchLine& line : usual_bench_lines(context)) {
    const double seconds =
        bench_seconds(line, counter, deployment.max_batch_tokens, *deployment.hardware.costs);
    if (seconds > kMostLineSeconds) {
      left_out += fmt::format("{}{}", left_out.empty() ? "" : ", ", line.label());
      continue;
    }
    all += seconds;
    lines.push_back(line);
  }
  note(fmt::format(
      "fathom: measuring {} speeds, about {:.0f} s, and then three loads, {:g} minutes at most\n",
      lines.size(), all, load_minutes));
  if (!left_out.empty()) {
    note(fmt::format("fathom: left out, as each would take more than {:.0f} s: {}\n",
                     kMostLineSeconds, left_out));
  }
  return lines;
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
  plan::Deployment deployment = request.deployment;
  deployment.cache = model->cache_layout().type;
  deployment.max_batch_tokens = model->max_batch_tokens();
  const plan::UnitCounter counter(deployment.model, deployment.cache);
  std::vector<plan::BenchLine> lines =
      lines_of(checkpoint->config().context, counter, deployment, request.minutes);
  deployment.max_running = 1;
  for (const plan::BenchLine& line : lines) {
    deployment.max_running = std::max(deployment.max_running, line.batch);
  }
  FATHOM_CHECK(measure_lines(lines, *model));

  const std::string& name = deployment.model.title;
  std::vector<Comparison> rows;
  rows.reserve(lines.size() + 1);
  // Code and scratch as a server's process has them, where it was measured, and no tokenizer; or
  // what this one had before, if that was more.
  const plan::MemoryUse use = plan::memory_of(deployment, 0);
  const double program =
      std::max(use.program - plan::tokenizer_bytes(deployment.model), d(resident_before));
  rows.push_back({.model = name,
                  .what = "memory",
                  .unit = "MB",
                  .predicted = (use.weights + use.activations + program) / 1e6,
                  .measured = d(resident_bytes()) / 1e6});
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

// Its lengths, without a shared beginning, coming by chance and so seldom that all bear it.
plan::Workload open_load(plan::Workload workload) {
  workload.trace.clear();
  workload.sessions = 0;
  workload.shared_prefix_tokens = 0;
  workload.requests_per_second = 1e-3;
  return workload;
}

// The highest rate that the prediction keeps up with: what the formula says, and then bisection.
double highest_rate(const VerifyRequest& request, const plan::Deployment& deployment,
                    plan::Workload workload) {
  const auto keeps_up = [&](double rate) {
    workload.requests_per_second = rate;
    return request.predict(deployment, workload).keeps_up;
  };
  const double about =
      std::max(plan::estimate(deployment, workload).most_requests_per_second, 1e-4);
  double low = about / 1.25;
  double high = about * 1.25;
  for (int i = 0; i < 8 && !keeps_up(low); ++i) {
    high = low;
    low /= 2;
  }
  for (int i = 0; i < 8 && keeps_up(high); ++i) {
    low = high;
    high *= 2;
  }
  for (int i = 0; i < 5; ++i) {
    const double middle = std::sqrt(low * high);
    (keeps_up(middle) ? low : high) = middle;
  }
  return low;
}

std::vector<double> rates_of(double highest) {
  std::vector<double> rates;
  rates.reserve(std::size(kLoads));
  for (const Load& load : kLoads) rates.push_back(load.share * highest);
  return rates;
}

// What the deployment is predicted to do, as the load is put on it.
plan::Deployment as_loaded(const plan::Deployment& deployment, bool served) {
  if (served) return deployment;
  // No client, and nobody who writes to one.
  plan::StepCosts costs = *deployment.hardware.costs;
  costs.serve_token_seconds = 0;
  costs.serve_request_seconds = 0;
  plan::Deployment alone = deployment;
  alone.hardware.costs = std::make_shared<const plan::StepCosts>(costs);
  return alone;
}

// All three loads, on one server.
class Loads {
 public:
  Loads(const VerifyRequest& request, const Model& model)
      : request_(request),
        model_(model),
        deployment_(as_loaded(request.deployment, is_served(model))),
        observer_(deployment_) {}

  Status run(std::vector<Comparison>& rows) {
    FATHOM_CHECK(start());
    rows.reserve(rows.size() + 5 * std::size(kLoads) + 1);
    for (size_t i = 0; i < std::size(kLoads); ++i) FATHOM_CHECK(verify(i, rows));
    const double tokenizer = is_served(model_) ? 0 : plan::tokenizer_bytes(deployment_.model);
    rows.push_back({.model = deployment_.model.title,
                    .what = "memory, after the loads",
                    .unit = "MB",
                    .predicted = (other_memory_ - tokenizer + cache_used()) / 1e6,
                    .measured = d(resident_bytes()) / 1e6});
    return {};
  }

 private:
  // What is put on before a load, to see how fast the machine is: evenly, so that about as many run
  // together as in the load.
  struct Before {
    int64_t count = 1;
    double spacing_seconds = 0;
  };

  // Rates, and how many sequences each makes, by the fit; and the server for them.
  Status start() {
    lengths_ = {.prompt = request_.workload.prompt_tokens,
                .output = request_.workload.output_tokens};
    plan::Workload planned = open_load(request_.workload);
    if (is_served(model_)) {
      // A word is about one token; how many exactly is counted.
      loadtest::WorkloadOptions words;
      words.seed = request_.workload.seed;
      words.prompt_words = lengths_.prompt;
      words.output_tokens = lengths_.output;
      FATHOM_TRY(const double tokens, mean_prompt_tokens(model_, loadtest::Workload(words)));
      FATHOM_TRY(planned.prompt_tokens,
                 loadtest::Lengths::parse(fmt::format("{:.0f}", tokens), "the prompts' length"));
    }
    highest_ = highest_rate(request_, deployment_, planned);
    FATHOM_TRY(seconds_,
               load_durations(rates_of(highest_), request_.seconds, 60 * request_.minutes));
    int64_t cached_tokens = 0;  // as the plan's command gives the cache for the highest load
    for (const double rate : rates_of(highest_)) {
      planned.requests_per_second = rate;
      const plan::Prediction predicted = request_.predict(deployment_, planned);
      const double together = std::clamp(std::round(predicted.mean_batch), 1.0, kMostTogether);
      const double request_seconds =
          predicted.ttft_seconds.mean +
          plan::demand_of(planned).output.mean * predicted.itl_seconds.mean;
      before_.push_back({.count = 2 * static_cast<int64_t>(together) + 1,
                         .spacing_seconds = request_seconds / together});
      cached_tokens = std::max(cached_tokens, predicted.kv_tokens);
      other_memory_ = std::max(other_memory_, predicted.memory.total() - predicted.memory.cache);
    }
    kv_memory_ = cached_tokens * deployment_.model.cache_bytes_per_token(deployment_.cache);
    ServingOptions options;
    options.context = deployment_.context;
    options.max_running = deployment_.max_running;
    options.kv_memory = kv_memory_;
    options.observer = &observer_;
    FATHOM_TRY(target_, start_load_target(model_, options));
    // Touches the weights.
    FATHOM_TRY(const OfferedLoad first, target_->draw(lengths_, 0, 1, next_seed()));
    FATHOM_CHECK(put(first));
    return {};
  }

  Result<SeenTimes> put(const OfferedLoad& load) {
    for (const plan::PastRequest& request : load.requests) {
      // An answer's last token is never read.
      kept_pages_ += (request.prompt_tokens + request.output_tokens - 1) / CachePool::kPageTokens;
    }
    return target_->put(load);
  }

  // The cache takes memory when it is first written to. Whole pages are kept after an answer, for
  // whoever begins alike, until there are no others left.
  double cache_used() const {
    const int64_t page_bytes =
        CachePool::kPageTokens * deployment_.model.cache_bytes_per_token(deployment_.cache);
    return d(std::min(kv_memory_, kept_pages_ * page_bytes));
  }

  uint64_t next_seed() { return request_.workload.seed + kSeedsApart * ++seeds_; }

  // How many times as long as the fit says this machine's steps take now, with about as many
  // sequences in them as the load will have.
  Result<double> speed_now(const Before& before) {
    observer_.take();
    StepSpeed speed;
    for (int round = 0; round < kSpeedRounds; ++round) {
      FATHOM_TRY(OfferedLoad load, target_->draw(lengths_, 0, before.count, next_seed()));
      double at = 0;
      for (plan::PastRequest& request : load.requests) {
        request.at = at;
        at += before.spacing_seconds;
      }
      FATHOM_CHECK(put(load));
      speed += observer_.take();
      if (speed.measured_seconds >= std::min(kSpeedSeconds, request_.seconds)) break;
    }
    return speed.factor();
  }

  plan::Prediction predict(const OfferedLoad& load, double factor) const {
    plan::Workload trace = request_.workload;
    trace.requests_per_second = 0;
    trace.sessions = 0;
    trace.shared_prefix_tokens = 0;  // none of the requests shares one
    trace.trace = load.requests;
    return request_.predict(at_speed(deployment_, factor), trace);
  }

  Status verify(size_t number, std::vector<Comparison>& rows) {
    const Load& load = kLoads[number];
    FATHOM_TRY(const double factor, speed_now(before_[number]));
    // Times are in proportion to the steps', and so rates are, too.
    const double rate = load.share * highest_ / factor;
    const auto count =
        std::max(kFewestRequests, static_cast<int64_t>(std::llround(rate * seconds_[number])));
    note(fmt::format(
        "fathom: {}, {} requests at {:.3g} a second, about {:.0f} s; steps take {:.2f} times what "
        "the fit says\n",
        load.name, count, rate, d(count) / rate, factor));
    FATHOM_TRY(const OfferedLoad offered, target_->draw(lengths_, rate, count, next_seed()));
    const plan::Prediction predicted = predict(offered, factor);
    observer_.take();
    FATHOM_TRY(const SeenTimes seen, put(offered));
    const StepSpeed during = observer_.take();
    const plan::Prediction by_fit = predict(offered, 1);
    const plan::Prediction own_speed = predict(offered, during.factor());
    const plan::Prediction faster = predict(offered, factor / 1.1);
    const plan::Prediction slower = predict(offered, factor * 1.1);
    struct Place {
      const char* name;
      double plan::Percentiles::* of;
      double measured;
    };
    const auto add = [&](const char* what, plan::Percentiles plan::Prediction::* times,
                         const loadtest::Spread& measured) {
      for (const Place& place : {Place{"p50", &plan::Percentiles::p50, measured.p50},
                                 Place{"p90", &plan::Percentiles::p90, measured.p90}}) {
        const auto ms = [&](const plan::Prediction& made) {
          return 1e3 * ((made.*times).*place.of);
        };
        rows.push_back({.model = deployment_.model.title,
                        .what = fmt::format("{}, {} {}", what, load.name, place.name),
                        .unit = "ms",
                        .predicted = ms(predicted),
                        .measured = 1e3 * place.measured,
                        .other_speeds = OtherSpeeds{.by_fit = ms(by_fit),
                                                    .own_speed = ms(own_speed),
                                                    .faster = ms(faster),
                                                    .slower = ms(slower)}});
      }
    };
    add("TTFT", &plan::Prediction::ttft_seconds, seen.first_token);
    add("ITL", &plan::Prediction::itl_seconds, seen.inter_token);
    const double steps = d(std::max<int64_t>(during.steps, 1));
    rows.push_back({.model = deployment_.model.title,
                    .what = fmt::format("step, {}", load.name),
                    .unit = "ms",
                    .predicted = 1e3 * factor * during.predicted_seconds / steps,
                    .measured = 1e3 * during.measured_seconds / steps});
    return {};
  }

  const VerifyRequest& request_;
  const Model& model_;
  const plan::Deployment deployment_;
  StepSpeedObserver observer_;  // outlives the target
  LoadLengths lengths_;
  double highest_ = 0;           // requests a second, by the fit
  std::vector<double> seconds_;  // of each load
  std::vector<Before> before_;   // each load
  double other_memory_ = 0;      // all but the cache
  int64_t kv_memory_ = 0;        // the cache may have
  int64_t kept_pages_ = 0;       // that all loads until now would keep
  uint64_t seeds_ = 0;
  std::unique_ptr<LoadTarget> target_;
};

}  // namespace

Result<std::vector<double>> load_durations(const std::vector<double>& rates, double least,
                                           double most) {
  std::vector<double> seconds;
  seconds.reserve(rates.size());
  for (const double rate : rates) seconds.push_back(std::max(least, kEnoughRequests / rate));
  const double all = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  const double fewest =
      std::accumulate(rates.begin(), rates.end(), 0.0,
                      [](double sum, double rate) { return sum + kFewestRequests / rate; });
  if (fewest > most) {
    return usage_error(
        "Here {} requests at each of {} loads take {:.1f} minutes together, and {:.1f} are "
        "allowed. "
        "Allow more (--verify-minutes), or ask for shorter prompts and answers (--prompt, "
        "--output).",
        kFewestRequests, rates.size(), fewest / 60, most / 60);
  }
  if (all <= most) return seconds;
  // What is beyond the fewest is cut, of all loads by the same share.
  const double share = (most - fewest) / (all - fewest);
  for (size_t i = 0; i < rates.size(); ++i) {
    const double needed = kFewestRequests / rates[i];
    seconds[i] = needed + share * (seconds[i] - needed);
  }
  return seconds;
}

Result<std::vector<Comparison>> verify(const VerifyRequest& request) {
  if (request.deployment.hardware.costs == nullptr ||
      !request.deployment.hardware.fathom_runs_here) {
    return usage_error(
        "{} is not this machine: there is nothing to verify a plan for it with here.",
        request.deployment.hardware.name);
  }
  // Before anything takes time: whether the loads fit into theirs, as far as the formula knows.
  const double about =
      plan::estimate(request.deployment, open_load(request.workload)).most_requests_per_second;
  FATHOM_CHECK(load_durations(rates_of(about), request.seconds, 60 * request.minutes));
  FATHOM_TRY(std::vector<Comparison> rows, verify_steps(request));
  FATHOM_TRY(const Model model, load_model(request.model));
  FATHOM_CHECK(Loads(request, model).run(rows));
  return rows;
}

Result<int> verify_plan(const VerifyRequest& request) {
  FATHOM_TRY(const auto rows, verify(request));
  print(request.json
            ? comparison_json(rows)
            : comparison_table(rows, {"memory", "prefill", "decode", "TTFT", "ITL", "step"}));
  return 0;
}

}  // namespace fathom::cli
