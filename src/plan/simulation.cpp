#include "plan/simulation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/kv_cache.h"
#include "engine/scheduler.h"
#include "plan/arrivals.h"
#include "plan/demand.h"

namespace fathom::plan {
namespace {

// What a client waits after it was refused, before it asks again.
constexpr double kRetrySeconds = 1;
// Tokens of what all prompts share, and of all that follows a prompt's first own token, which is
// its number.
constexpr int32_t kSharedToken = -1;
constexpr int32_t kOtherToken = -2;

// Interpolated, as loadtest::spread_of() does: of few requests the two must be counted alike.
double quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = values.begin() + static_cast<std::ptrdiff_t>(place);
  std::ranges::nth_element(values, below);
  if (below + 1 == values.end()) return *below;
  const double above = *std::min_element(below + 1, values.end());
  return *below + (place - std::floor(place)) * (above - *below);
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

Percentiles percentiles(std::vector<double> values) {
  return {.mean = mean(values),
          .p50 = quantile(values, 0.5),
          .p90 = quantile(values, 0.9),
          .p99 = quantile(values, 0.99)};
}

struct Open {
  double at = 0;
  double first_token = -1;
  int64_t output = 0;
  int64_t drawn = 0;
  int64_t number = 0;  // among those that were taken
};

// Each of many sessions asks twice at least, as far as that can be waited for.
int64_t requests_of(const Workload& workload, const SimulationOptions& options) {
  constexpr int64_t kMost = 50'000;
  if (!workload.trace.empty()) return std::ssize(workload.trace);
  return std::max(options.requests, std::min(2 * workload.sessions, kMost));
}

// Sessions that all begin at once take a round to mix.
int64_t warm_up_of(const Workload& workload, const SimulationOptions& options, int64_t requests) {
  if (!workload.trace.empty() || options.warm_up_share == 0) return 0;
  const auto share = static_cast<int64_t>(options.warm_up_share * static_cast<double>(requests));
  return std::max(share, std::min(workload.sessions, requests / 2));
}

class Run {
 public:
  Run(const ServerModel& server, const Workload& workload, StepSeconds step_seconds,
      const SimulationOptions& options, KvCache& cache)
      : server_(server),
        workload_(workload),
        step_seconds_(step_seconds),
        total_(requests_of(workload, options)),
        warm_(warm_up_of(workload, options, total_)),
        context_(std::min(server.context, cache.pages() * CachePool::kPageTokens)),
        arrivals_(workload, total_),
        scheduler_({.max_running = server.max_running,
                    .max_batch_tokens = std::max(server.max_batch_tokens, server.max_running),
                    .prefix_cache = server.prefix_cache},
                   cache),
        pacer_(server.pace, server.reads),
        used_(static_cast<size_t>(cache.pages()) + 1, 0.0) {
    const auto count = static_cast<size_t>(total_);
    ttft_.reserve(count);
    itl_.reserve(count);
    queued_.reserve(count);
    latency_.reserve(count);
  }

  Simulation run() {
    while (true) {
      take_in();
      const int64_t in_system = scheduler_.waiting() + scheduler_.running();
      if (in_system == 0) {
        if (arrivals_.next() == Arrivals::kNever) break;
        pass_time(arrivals_.next() - now_, 0);
        continue;
      }
      step(in_system);
      // In a closed loop what is under way when enough were answered has too little company.
      if (arrivals_.closed() && result_.answered + result_.too_long >= total_) break;
    }
    return report();
  }

 private:
  void take_in() {
    while (arrivals_.next() <= now_) {
      const Arrivals::Drawn drawn = arrivals_.take();
      if (drawn.prompt >= context_) {
        ++result_.too_long;
        arrivals_.free_at(now_);
        continue;
      }
      if (scheduler_.waiting() >= server_.max_waiting) {
        ++result_.refused;
        arrivals_.free_at(now_ + kRetrySeconds);
        continue;
      }
      const int64_t number = taken_++;
      std::vector<int32_t> prompt(static_cast<size_t>(drawn.prompt), kOtherToken);
      const int64_t shared = std::min(workload_.shared_prefix_tokens, drawn.prompt - 1);
      std::fill_n(prompt.begin(), shared, kSharedToken);
      prompt[static_cast<size_t>(shared)] = static_cast<int32_t>(number);
      scheduler_.add({.prompt = std::move(prompt)});
      open_.push_back({.at = drawn.at,
                       .output = std::min(drawn.output, context_ - drawn.prompt),
                       .number = number});
      if (number == warm_) start_ = now_;
      if (number == total_ / 2) half_ = scheduler_.waiting() + scheduler_.running();
      last_taken_ = now_;
      last_in_system_ = scheduler_.waiting() + scheduler_.running();
    }
  }

  void step(int64_t in_system) {
    const int64_t decoding = scheduler_.decoding();
    const int64_t incoming = scheduler_.waiting() + scheduler_.running() - decoding;
    const auto& plan = scheduler_.plan(pacer_.limits(decoding, incoming));
    const int64_t prompt_rows = scheduler_.planned_prompt_rows();
    int64_t rows = 0;
    int64_t last = 0;
    for (const ScheduledSequence& part : plan) {
      rows += std::ssize(part.tokens);
      last += part.last ? 1 : 0;
    }
    const int64_t decode_rows = rows - prompt_rows;
    double decode_context = 0;
    double prompt_context = 0;
    for (size_t i = 0; i < plan.size(); ++i) {
      const ScheduledSequence& part = plan[i];
      // Those that decode come first.
      if (static_cast<int64_t>(i) < decode_rows) {
        decode_context += static_cast<double>(part.position);
        continue;
      }
      const auto count = static_cast<double>(part.tokens.size());
      prompt_context += static_cast<double>(part.position) * count;
      if (part.first) note_start(part.id);
    }
    StepWork work{.decode_rows = static_cast<double>(decode_rows),
                  .prompt_rows = static_cast<double>(prompt_rows),
                  .logits = static_cast<double>(last)};
    if (decode_rows > 0) work.decode_context = decode_context / work.decode_rows;
    if (prompt_rows > 0) work.prompt_context = prompt_context / work.prompt_rows;
    const double seconds = step_seconds_(work);
    if (counting() && decode_rows > 0) {
      ++decode_steps_;
      batch_sum_ += work.decode_rows;
      context_sum_ += decode_context;
    }
    result_.most_batch = std::max(result_.most_batch, last);
    used_[static_cast<size_t>(scheduler_.pages_used())] += seconds;
    pass_time(seconds, in_system);
    result_.busy_seconds += seconds;
    ++result_.steps;

    ended_.clear();
    for (const ScheduledSequence& part : plan) {
      if (part.last) draw(part.id);
    }
    for (const SequenceId id : ended_) end(id);
    pacer_.observe(decode_rows, prompt_rows, seconds);
  }

  // The scheduler numbers sequences from 1 on, in the order in which they were added.
  Open& request(SequenceId id) { return open_[static_cast<size_t>(id - 1)]; }

  bool counting() const { return start_ >= 0; }

  void note_start(SequenceId id) {
    const Open& open = request(id);
    if (open.number >= warm_) queued_.push_back(std::max(now_ - open.at, 0.0));
  }

  void draw(SequenceId id) {
    Open& open = request(id);
    if (++open.drawn == 1) open.first_token = now_;
    if (counting()) ++tokens_;
    if (open.drawn >= open.output) {
      ended_.push_back(id);
    } else {
      scheduler_.append(id, kOtherToken);
    }
  }

  void end(SequenceId id) {
    const Open& open = request(id);
    scheduler_.finish(id);
    arrivals_.free_at(now_);
    ++result_.answered;
    if (counting()) ++ended_in_window_;
    if (counting() && (arrivals_.next() != Arrivals::kNever || arrivals_.closed())) {
      window_ended_ = ended_in_window_;
      window_tokens_ = tokens_;
      window_end_ = now_;
    }
    if (open.number < warm_) return;
    ttft_.push_back(open.first_token - open.at);
    latency_.push_back(now_ - open.at);
    if (open.output > 1) {
      itl_.push_back((now_ - open.first_token) / static_cast<double>(open.output - 1));
    }
  }

  void pass_time(double seconds, int64_t in_system) {
    now_ += seconds;
    if (counting() &&
        (arrivals_.next() != Arrivals::kNever || arrivals_.closed() || !workload_.trace.empty())) {
      area_ += seconds * static_cast<double>(in_system);
      area_seconds_ += seconds;
    }
  }

  Simulation report() {
    result_.ttft_seconds = percentiles(std::move(ttft_));
    result_.itl_seconds = percentiles(std::move(itl_));
    result_.queued_seconds = percentiles(std::move(queued_));
    result_.mean_latency_seconds = mean(latency_);
    result_.seconds = now_;
    // The load's own span, where it lasted; otherwise all there was.
    double window = window_end_ - start_;
    if (!workload_.trace.empty() || !(window > 0)) {
      window = now_ - std::max(start_, 0.0);
      window_ended_ = ended_in_window_;
      window_tokens_ = tokens_;
    }
    if (window > 0) {
      result_.requests_per_second = static_cast<double>(window_ended_) / window;
      result_.output_tokens_per_second = static_cast<double>(window_tokens_) / window;
    }
    if (area_seconds_ > 0) result_.mean_in_system = area_ / area_seconds_;
    if (decode_steps_ > 0) {
      result_.mean_batch = batch_sum_ / static_cast<double>(decode_steps_);
      result_.mean_context = context_sum_ / batch_sum_;
    }
    double left = 0.01 * result_.busy_seconds;
    for (size_t pages = used_.size(); pages-- > 0;) {
      left -= used_[pages];
      if (left > 0) continue;
      result_.cached_tokens_p99 = static_cast<double>(pages) * CachePool::kPageTokens;
      break;
    }
    result_.preemptions = scheduler_.preemptions();
    const auto half = static_cast<double>(half_);
    result_.queue_grows =
        !arrivals_.closed() && workload_.trace.empty() &&
        static_cast<double>(last_in_system_) > 1.3 * half + 4 * std::sqrt(half) + 8;
    return result_;
  }

  const ServerModel& server_;
  const Workload& workload_;
  StepSeconds step_seconds_;
  const int64_t total_;
  const int64_t warm_;
  const int64_t context_;
  Arrivals arrivals_;
  Scheduler scheduler_;
  StepPacer pacer_;
  std::vector<double> used_;  // seconds with so many pages in use
  std::vector<Open> open_;
  std::vector<SequenceId> ended_;
  std::vector<double> ttft_;
  std::vector<double> itl_;
  std::vector<double> queued_;
  std::vector<double> latency_;
  Simulation result_;
  double now_ = 0;
  double start_ = -1;  // when the first that counts came
  double last_taken_ = 0;
  int64_t taken_ = 0;
  int64_t half_ = 0;
  int64_t last_in_system_ = 0;
  int64_t tokens_ = 0;
  int64_t ended_in_window_ = 0;
  int64_t window_ended_ = 0;
  int64_t window_tokens_ = 0;
  double window_end_ = 0;
  double area_ = 0;
  double area_seconds_ = 0;
  int64_t decode_steps_ = 0;
  double batch_sum_ = 0;
  double context_sum_ = 0;
};

}  // namespace

Result<Simulation> simulate(const ServerModel& server, const Workload& workload,
                            StepSeconds step_seconds, const SimulationOptions& options) {
  FATHOM_CHECK(validate(workload));
  if (server.cache_tokens < 2 * CachePool::kPageTokens || server.max_running < 1 ||
      server.max_batch_tokens < 1 || server.context < 2) {
    return usage_error(
        "A server with room for {} tokens in its cache, {} sequences, {} rows in a step and a "
        "context of {} cannot answer.",
        server.cache_tokens, server.max_running, server.max_batch_tokens, server.context);
  }
  if (options.requests < 1 || !(options.warm_up_share >= 0 && options.warm_up_share < 1)) {
    return usage_error("{} requests of which a share of {} does not count cannot be simulated.",
                       options.requests, options.warm_up_share);
  }
  // One byte or two for each token: pages are only counted.
  const CacheLayout layout{.layers = 1, .key_width = 1, .values_in_keys = true};
  FATHOM_TRY(KvCache cache, KvCache::make(layout, server.cache_tokens));
  return Run(server, workload, step_seconds, options, cache).run();
}

Workload share_of(const Workload& workload, int servers) {
  Workload share = workload;
  if (servers <= 1) return share;
  share.requests_per_second /= servers;
  if (share.sessions > 0) share.sessions = (share.sessions + servers - 1) / servers;
  share.trace.clear();
  share.trace.reserve(workload.trace.size() / static_cast<size_t>(servers) + 1);
  for (size_t i = 0; i < workload.trace.size(); i += static_cast<size_t>(servers)) {
    share.trace.push_back(workload.trace[i]);
  }
  return share;
}

}  // namespace fathom::plan
