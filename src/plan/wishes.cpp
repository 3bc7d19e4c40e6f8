#include "plan/wishes.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fathom::plan {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

std::string gigabytes(double bytes) {
  return bytes < 1e8 ? fmt::format("{:.0f} MB", std::ceil(bytes / 1e6))
                     : fmt::format("{:.1f} GB", bytes / 1e9);
}

}  // namespace

double at_percentile(const Percentiles& percentiles, double percentile) {
  const auto between = [percentile](double p, double low, double q, double high) {
    // Tails fall about exponentially: straight lines over the logarithm of what is beyond.
    const double share = std::log((100 - p) / (100 - percentile)) / std::log((100 - p) / (100 - q));
    return low + share * (high - low);
  };
  if (percentile <= 50) return percentiles.p50;
  if (percentile <= 90) return between(50, percentiles.p50, 90, percentiles.p90);
  return between(90, percentiles.p90, 99, percentiles.p99);
}

std::optional<Miss> never_fits(const Question& question, const ModelFacts& model,
                               const Hardware& hardware, const std::optional<Quality>& quality) {
  const Wishes& wishes = question.wishes;
  if (std::ranges::find(model.modalities, wishes.modality) == model.modalities.end() &&
      !(wishes.modality == "text" && model.modalities.empty())) {
    return Miss{.constraint = "modality",
                .reason = fmt::format("does not take {}s", wishes.modality),
                .excess = kInfinite};
  }
  if (wishes.on_premises && !hardware.on_premises) {
    return Miss{.constraint = "on premises",
                .reason = "is for rent only and cannot stand on premises",
                .excess = kInfinite};
  }
  if (hardware.fathom_runs_here && !model.runs_here) {
    return Miss{
        .constraint = "family", .reason = "this program cannot run the model", .excess = kInfinite};
  }
  if (model.config.context > 0 && model.config.context < wishes.context) {
    const auto context = static_cast<double>(model.config.context);
    return Miss{.constraint = "context",
                .reason = fmt::format("a context of {} is wished for, the model has {}: {} too few",
                                      wishes.context, model.config.context,
                                      wishes.context - model.config.context),
                .excess = static_cast<double>(wishes.context) / context - 1};
  }
  if (wishes.least_quality) {
    if (!quality) {
      return Miss{.constraint = "quality",
                  .reason = "no evaluation of the model is known, so --quality cannot be kept",
                  .excess = kInfinite};
    }
    if (quality->score < *wishes.least_quality) {
      return Miss{
          .constraint = "quality",
          .reason = fmt::format("{} {:.1f}, {:.1f} below the floor of {:g}", quality->benchmark,
                                quality->score, *wishes.least_quality - quality->score,
                                *wishes.least_quality),
          .excess = *wishes.least_quality / std::max(quality->score, 1e-9) - 1};
    }
  }
  return {};
}

std::optional<Miss> misses_memory(const Deployment& deployment) {
  const double tokens = cache_tokens_that_fit(deployment);
  const auto context = static_cast<double>(deployment.context);
  if (tokens >= context) return {};
  const MemoryUse use = memory_of(deployment, context);
  const auto memory = static_cast<double>(deployment.hardware.memory_bytes);
  const double missing = use.cache * std::max(1 - std::max(tokens, 0.0) / context, 0.0);
  if (tokens < 0) {
    return Miss{.constraint = "memory",
                .reason = fmt::format(
                    "weights and workspace need {}, of a device's {} may be used {}: {} too little",
                    gigabytes(use.total() - use.cache), gigabytes(memory),
                    gigabytes(usable_bytes(deployment.hardware)), gigabytes(-tokens)),
                .excess = -tokens / std::max(memory, 1.0)};
  }
  return Miss{
      .constraint = "memory",
      .reason = fmt::format("beside the weights a device's {} hold {:.0f} tokens of cache, not {}: "
                            "{} too little",
                            gigabytes(memory), tokens, deployment.context, gigabytes(missing)),
      .excess = missing / std::max(memory, 1.0)};
}

std::optional<Miss> misses_wishes(const Question& question, const Deployment& deployment,
                                  const Prediction& prediction, const Demand& demand) {
  const Wishes& wishes = question.wishes;
  if (!prediction.keeps_up) {
    const double most = std::max(prediction.most_requests_per_second, 1e-9);
    // The simulation may find it too much where the formula does not.
    return Miss{.constraint = "load",
                .reason = fmt::format("{} cop{} keep up with {:.3g} requests/s at most, of {:.3g}",
                                      deployment.replicas, deployment.replicas == 1 ? "y" : "ies",
                                      most, demand.requests_per_second),
                .excess = std::max(demand.requests_per_second / most - 1, 0.01)};
  }
  std::optional<Miss> worst;
  const auto check = [&](std::string_view constraint, double value, double limit,
                         std::string_view text, std::string_view unit) {
    if (limit <= 0 || value <= limit) return;
    const double excess = value / limit - 1;
    if (worst && worst->excess >= excess) return;
    worst = Miss{.constraint = std::string(constraint),
                 .reason = fmt::format("{} {:.4g} {}, {:.4g} over the limit of {:.4g}", text, value,
                                       unit, value - limit, limit),
                 .excess = excess};
  };
  const std::string at = fmt::format("at the {:g}th percentile", wishes.percentile);
  check("ttft", 1000 * at_percentile(prediction.ttft_seconds, wishes.percentile), wishes.ttft_ms,
        fmt::format("time to first token {}", at), "ms");
  check("itl", 1000 * at_percentile(prediction.itl_seconds, wishes.percentile), wishes.itl_ms,
        fmt::format("inter-token latency {}", at), "ms");
  if (wishes.usd_per_hour > 0) {
    const HourlyCost cost = hourly_cost(deployment, prediction.watts, question.prices);
    if (!cost.known) {
      if (!worst) {
        worst = Miss{.constraint = "budget",
                     .reason = "what the hardware costs is not known, so --budget cannot be kept",
                     .excess = kInfinite};
      }
    } else {
      check("budget", cost.total(), wishes.usd_per_hour, "costs", "US dollars per hour");
    }
  }
  return worst;
}

}  // namespace fathom::plan
