#include "plan/ranking.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "plan/candidates.h"
#include "plan/commands.h"
#include "plan/wishes.h"

namespace fathom::plan {
namespace {

// Copies are added until the load is borne with room, then until latencies are as wished.
constexpr double kComfortable = 0.85;
constexpr std::array kMoreCopies{1.0, 1.3, 1.7, 2.5, 4.0};
constexpr std::array<std::string_view, 4> kTiers{"V1", "Pro", "Lite", "Nano"};

size_t tier_rank(const ModelFacts& model) {
  return static_cast<size_t>(std::ranges::find(kTiers, model.tier) - kTiers.begin());
}

double answer_seconds(const Ranked& ranked, const Demand& demand) {
  const Prediction& prediction = ranked.prediction;
  return prediction.ttft_seconds.p90 + demand.output.mean * prediction.itl_seconds.p90;
}

// Less is better, the first that differs counts. Where costs are not known, fewer devices cost
// less.
std::array<double, 4> key(const Ranked& ranked, RankBy by, const Demand& demand) {
  constexpr double kLast = std::numeric_limits<double>::infinity();
  const double cost = ranked.cost_known ? ranked.prediction.usd_per_million_requests : kLast;
  const double seconds = answer_seconds(ranked, demand);
  const double tier =
      ranked.cost_known ? 0 : static_cast<double>(tier_rank(ranked.deployment.model));
  const double devices = ranked.cost_known ? 0 : ranked.deployment.devices();
  switch (by) {
    case RankBy::kCost:
      return {cost, tier, devices, seconds};
    case RankBy::kLatency:
      return {seconds, cost, devices, 0};
    case RankBy::kQuality:
      return {ranked.quality ? -ranked.quality->score
                             : static_cast<double>(tier_rank(ranked.deployment.model)),
              cost, devices, seconds};
  }
  return {};
}

class Search {
 public:
  explicit Search(const Question& question)
      : question_(question), demand_(demand_of(question.workload)) {}

  Result<Ranking> run() {
    ranking_.quality_task = question_.quality_task.empty()
                                ? task_of(question_.qualities, question_.models)
                                : question_.quality_task;
    for (const ModelFacts& model : question_.models) {
      const std::optional<Quality> quality =
          quality_of(model, question_.qualities, ranking_.quality_task);
      for (const Hardware& hardware : question_.hardware) consider(model, hardware, quality);
    }
    sort(ranking_.deployments);
    FATHOM_CHECK(simulate_best());
    std::ranges::sort(ranking_.ruled_out, {}, &RuledOut::excess);
    return std::move(ranking_);
  }

 private:
  void consider(const ModelFacts& model, const Hardware& hardware,
                const std::optional<Quality>& quality) {
    best_.reset();
    nearest_.reset();
    if (const auto miss = never_fits(question_, model, hardware, quality)) {
      Deployment one{.model = model, .hardware = hardware};
      one.context = question_.wishes.context;
      rule_out(one, *miss);
    } else {
      for (const Deployment& copy : copies_of(question_, model, hardware)) {
        if (const auto miss_memory = misses_memory(copy)) {
          rule_out(copy, *miss_memory);
        } else {
          add_copies(copy, quality);
        }
      }
    }
    if (best_) {
      ranking_.deployments.push_back(*std::move(best_));
    } else if (nearest_) {
      ranking_.ruled_out.push_back(*std::move(nearest_));
    }
  }

  Prediction predict(const Deployment& deployment) {
    ++ranking_.candidates;
    Prediction prediction = estimate(deployment, demand_);
    add_costs(deployment, question_.prices, prediction);
    return prediction;
  }

  void add_copies(Deployment deployment, const std::optional<Quality>& quality) {
    const int most = most_replicas(question_, deployment);
    Prediction prediction = predict(deployment);
    double needed = 1;
    if (demand_.sessions == 0 && prediction.most_requests_per_second > 0) {
      needed = demand_.requests_per_second / (kComfortable * prediction.most_requests_per_second);
    }
    int before = 1;
    for (const double more : kMoreCopies) {
      const auto wanted = static_cast<int>(std::ceil(std::min(std::max(needed, 1.0) * more, 1e6)));
      const int replicas = std::min(wanted, most);
      if (replicas != before) {
        deployment.replicas = replicas;
        prediction = predict(deployment);
      } else if (more > 1) {
        continue;
      }
      before = replicas;
      const auto miss = misses_wishes(question_, deployment, prediction, demand_);
      if (!miss) {
        take(deployment, prediction, quality);
        return;
      }
      rule_out(deployment, *miss);
    }
  }

  void take(const Deployment& deployment, const Prediction& prediction,
            const std::optional<Quality>& quality) {
    const HourlyCost cost = hourly_cost(deployment, prediction.watts, question_.prices);
    Ranked ranked{.deployment = deployment,
                  .prediction = prediction,
                  .quality = quality,
                  .cost_known = cost.known,
                  .rented = cost.rented};
    ranked.most_requests_per_second = prediction.most_requests_per_second;
    ranked.kv_memory_bytes =
        prediction.kv_tokens * deployment.model.cache_bytes_per_token(deployment.cache);
    ranked.command = serve_command(deployment, prediction);
    if (!ranked.command.empty()) ranked.prepare = prepare_commands(deployment.model);
    if (!best_ || key(ranked, question_.by, demand_) < key(*best_, question_.by, demand_)) {
      best_ = std::move(ranked);
    }
  }

  void rule_out(const Deployment& deployment, const Miss& miss) {
    if (nearest_ && nearest_->excess <= miss.excess) return;
    nearest_ = RuledOut{.deployment = deployment,
                        .constraint = miss.constraint,
                        .reason = miss.reason,
                        .excess = miss.excess};
  }

  void sort(std::vector<Ranked>& list) const {
    std::ranges::sort(list, [&](const Ranked& a, const Ranked& b) {
      return key(a, question_.by, demand_) < key(b, question_.by, demand_);
    });
  }

  // Those that turn out not to do as wished make room for the next.
  Status simulate_best() {
    std::vector<Ranked> done;
    std::vector<Ranked> rest;
    done.reserve(question_.simulated);
    rest.reserve(ranking_.deployments.size());
    for (Ranked& ranked : ranking_.deployments) {
      if (done.size() >= question_.simulated) {
        rest.push_back(std::move(ranked));
        continue;
      }
      FATHOM_TRY(ranked.prediction,
                 simulate(ranked.deployment, question_.workload, question_.simulation));
      add_costs(ranked.deployment, question_.prices, ranked.prediction);
      const auto miss = misses_wishes(question_, ranked.deployment, ranked.prediction, demand_);
      if (!miss) {
        done.push_back(std::move(ranked));
        continue;
      }
      ranking_.ruled_out.push_back({.deployment = ranked.deployment,
                                    .constraint = miss->constraint,
                                    .reason = fmt::format("{} (simulated)", miss->reason),
                                    .excess = miss->excess});
    }
    sort(done);
    ranking_.deployments = std::move(done);
    std::ranges::move(rest, std::back_inserter(ranking_.deployments));
    return {};
  }

  const Question& question_;
  const Demand demand_;
  Ranking ranking_;
  std::optional<Ranked> best_;       // of the model and hardware that are looked at
  std::optional<RuledOut> nearest_;  // likewise
};

}  // namespace

std::string_view name(RankBy by) {
  switch (by) {
    case RankBy::kCost:
      return "cost";
    case RankBy::kLatency:
      return "latency";
    case RankBy::kQuality:
      return "quality";
  }
  return "";
}

std::optional<RankBy> find_rank_by(std::string_view text) {
  for (const auto by : {RankBy::kCost, RankBy::kLatency, RankBy::kQuality}) {
    if (name(by) == text) return by;
  }
  return std::nullopt;
}

Result<Ranking> rank(const Question& question) {
  FATHOM_CHECK(validate(question.workload));
  FATHOM_CHECK(validate(question.wishes));
  if (question.models.empty() || question.hardware.empty()) {
    return usage_error("There is nothing to choose from: {} models, {} kinds of hardware.",
                       question.models.size(), question.hardware.size());
  }
  const Demand demand = demand_of(question.workload);
  const auto context = static_cast<double>(question.wishes.context);
  const bool traced = !question.workload.trace.empty();
  // A trace's longest is one request's; of a distribution its 99th percentile must fit.
  const double longest =
      traced ? demand.largest_sum : demand.prompt.p99 + std::min(demand.output.p99, 1.0);
  if (longest > context) {
    return usage_error(
        "{} of up to {:.0f} tokens do not fit into a context of {}. Wish for a larger one "
        "(--context).",
        traced ? "The trace's prompts with their answers" : "Prompts", longest,
        question.wishes.context);
  }
  return Search(question).run();
}

std::string placement_text(const Deployment& deployment) {
  std::string text = fmt::format("{} x {}", deployment.devices(), deployment.hardware.name);
  std::string how;
  const auto add = [&how](std::string_view what, int count) {
    if (count > 1) how += fmt::format("{}{} {}", how.empty() ? "" : ", ", what, count);
  };
  add("tp", deployment.tp);
  add("pp", deployment.pp);
  add("ep", deployment.ep);
  add("dp", deployment.dp());
  add("replicas", deployment.replicas);
  if (deployment.offloaded > 0) {
    how += fmt::format("{}{:.0f}% of experts on the host", how.empty() ? "" : ", ",
                       100 * deployment.offloaded);
  }
  if (!how.empty()) text += fmt::format(" ({})", how);
  return text;
}

}  // namespace fathom::plan
