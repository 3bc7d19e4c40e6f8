#include "plan/demand.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fathom::plan {
namespace {

constexpr size_t kDraws = 2000;
constexpr double kMostRequestsPerSecond = 1e6;
constexpr int64_t kMostSessions = 1'000'000;
constexpr int64_t kMostTokens = 10'000'000;

LengthFacts facts(std::vector<double> lengths) {
  LengthFacts facts;
  if (lengths.empty()) return facts;
  std::ranges::sort(lengths);
  double sum = 0;
  for (const double length : lengths) sum += length;
  const auto at = [&](double share) {
    return lengths[static_cast<size_t>(share * static_cast<double>(lengths.size() - 1))];
  };
  facts.mean = sum / static_cast<double>(lengths.size());
  double squares = 0;
  for (const double length : lengths) squares += (length - facts.mean) * (length - facts.mean);
  facts.variation = squares / static_cast<double>(lengths.size()) / (facts.mean * facts.mean);
  facts.p50 = at(0.5);
  facts.p90 = at(0.9);
  facts.p99 = at(0.99);
  facts.longest = lengths.back();
  return facts;
}

}  // namespace

Demand demand_of(const Workload& workload) {
  Demand demand;
  demand.requests_per_second = workload.requests_per_second;
  demand.sessions = static_cast<double>(workload.sessions);
  std::vector<double> prompts;
  std::vector<double> outputs;
  std::vector<double> computed;
  const auto add = [&](int64_t prompt, int64_t output) {
    prompts.push_back(static_cast<double>(prompt));
    outputs.push_back(static_cast<double>(output));
    // The last token is computed always.
    computed.push_back(
        static_cast<double>(std::max<int64_t>(prompt - workload.shared_prefix_tokens, 1)));
    demand.largest_sum = std::max(demand.largest_sum, prompts.back() + outputs.back());
  };
  if (!workload.trace.empty()) {
    prompts.reserve(workload.trace.size());
    outputs.reserve(workload.trace.size());
    computed.reserve(workload.trace.size());
    for (const PastRequest& request : workload.trace) {
      add(request.prompt_tokens, request.output_tokens);
    }
    const double span = workload.trace.back().at - workload.trace.front().at;
    const auto gaps = static_cast<double>(workload.trace.size() - 1);
    if (span > 0) demand.requests_per_second = gaps / span;
  } else {
    loadtest::Random random(workload.seed);
    prompts.reserve(kDraws);
    outputs.reserve(kDraws);
    computed.reserve(kDraws);
    for (size_t i = 0; i < kDraws; ++i) {
      const int64_t prompt = workload.prompt_tokens.draw(random) + workload.shared_prefix_tokens;
      add(prompt, workload.output_tokens.draw(random));
    }
  }
  demand.prompt = facts(std::move(prompts));
  demand.computed = facts(std::move(computed));
  demand.output = facts(std::move(outputs));
  return demand;
}

Status validate(const Workload& workload) {
  const int loads = (workload.requests_per_second != 0 ? 1 : 0) + (workload.sessions != 0 ? 1 : 0) +
                    (workload.trace.empty() ? 0 : 1);
  if (loads != 1) {
    return usage_error(
        "The load must be given once, as requests per second (--rate), as sessions (--sessions) or "
        "as a trace (--trace, --ledger); there are {}.",
        loads == 0 ? "none" : "several");
  }
  const double rate = workload.requests_per_second;
  if (!(rate >= 0) || rate > kMostRequestsPerSecond) {
    return usage_error("--rate is {}; it must be more than 0 and at most {} requests per second.",
                       rate, kMostRequestsPerSecond);
  }
  if (workload.sessions < 0 || workload.sessions > kMostSessions) {
    return usage_error("--sessions is {}; it must be 1 to {}.", workload.sessions, kMostSessions);
  }
  if (workload.shared_prefix_tokens < 0 || workload.shared_prefix_tokens > kMostTokens) {
    return usage_error("--shared-prefix is {}; it must be 0 to {} tokens.",
                       workload.shared_prefix_tokens, kMostTokens);
  }
  return {};
}

Status validate(const Wishes& wishes) {
  const auto positive = [](std::string_view flag, double value, double most,
                           std::string_view unit) -> Status {
    if (value >= 0 && value <= most) return {};
    return usage_error("{} is {}; it must be more than 0 and at most {} {}.", flag, value, most,
                       unit);
  };
  constexpr double kMostMilliseconds = 1e8;
  FATHOM_CHECK(positive("--ttft-ms", wishes.ttft_ms, kMostMilliseconds, "ms"));
  FATHOM_CHECK(positive("--itl-ms", wishes.itl_ms, kMostMilliseconds, "ms"));
  FATHOM_CHECK(positive("--budget", wishes.usd_per_hour, 1e9, "US dollars per hour"));
  if (!(wishes.percentile >= 1 && wishes.percentile <= 99)) {
    return usage_error("--percentile is {}; it must be 1 to 99.", wishes.percentile);
  }
  if (wishes.context < 2 || wishes.context > kMostTokens) {
    return usage_error("--context is {}; it must be 2 to {} tokens.", wishes.context, kMostTokens);
  }
  if (wishes.least_quality && !(*wishes.least_quality >= 0 && *wishes.least_quality <= 100)) {
    return usage_error("--quality is {}; it must be 0 to 100.", *wishes.least_quality);
  }
  if (wishes.modality != "text" && wishes.modality != "image") {
    return usage_error("--modality is {}; it must be text or image.", wishes.modality);
  }
  return {};
}

}  // namespace fathom::plan
