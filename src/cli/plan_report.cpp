#include "cli/plan_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/wrapped_text.h"
#include "plan/commands.h"
#include "plan/wishes.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kRuledOutShown = 12;
constexpr std::array kVolumes{1e3, 1e4, 1e5, 1e6, 1e7, 1e8};

std::string cut(const std::string& text, size_t width) {
  return text.size() <= width ? text : text.substr(0, width - 1) + "~";
}

// Three digits, without exponents where people read numbers.
std::string number(double value) {
  if (value == 0 || !std::isfinite(value)) return "-";
  if (value >= 99.95) return fmt::format("{:.0f}", value);
  if (value >= 9.995) return fmt::format("{:.1f}", value);
  return value >= 0.00995 ? fmt::format("{:.2f}", value) : fmt::format("{:.1g}", value);
}

std::string milliseconds(double seconds) {
  return seconds >= 100 ? fmt::format("{:.0f} s", seconds) : number(1000 * seconds);
}

std::string lower_first(std::string text) {
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') {
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  }
  return text;
}

std::string quality_text(const std::optional<plan::Quality>& quality) {
  if (!quality) return "no evaluation known";
  if (!quality->measured) {
    return fmt::format("{} {:.1f} (a claim)", quality->benchmark, quality->score);
  }
  return fmt::format("{} {:.1f} (measured {}{}{})", quality->benchmark, quality->score,
                     quality->date, quality->precision.empty() ? "" : " at ", quality->precision);
}

std::string deployment_text(size_t place, const plan::Ranked& ranked, double percentile) {
  const plan::Deployment& deployment = ranked.deployment;
  const plan::Prediction& prediction = ranked.prediction;
  std::string text = fmt::format(
      "{:>3} {:<23} {:<5} {:<20} {:>8} {:>8} {:>7} {:>8} {:>9}\n", place,
      cut(deployment.model.title.empty() ? deployment.model.name : deployment.model.title, 23),
      cut(deployment.model.precision, 5),
      cut(fmt::format("{} x {}", deployment.devices(), deployment.hardware.name), 20),
      fmt::format("{:.1f} GB", prediction.memory.total() / 1e9),
      milliseconds(plan::at_percentile(prediction.ttft_seconds, percentile)),
      milliseconds(plan::at_percentile(prediction.itl_seconds, percentile)),
      number(prediction.output_tokens_per_second),
      ranked.cost_known ? number(prediction.usd_per_million_requests) : "unknown");
  if (deployment.devices() > 1 || deployment.offloaded > 0) {
    text += fmt::format("    {}\n", plan::placement_text(deployment));
  }
  text +=
      fmt::format("    {}, {:.0f}% busy, {:.1f} answers a step; bound by {}\n",
                  prediction.simulated ? "simulated" : "estimated", 100 * prediction.utilisation,
                  prediction.mean_batch, plan::name(prediction.step.bound));
  std::string money;
  if (ranked.cost_known) {
    money =
        fmt::format("US$ {}/h {}, {} a million tokens; ", number(prediction.usd_per_hour),
                    ranked.rented ? "rent" : "to own", number(prediction.usd_per_million_tokens));
  }
  const std::string power = prediction.watts > 0 ? fmt::format("{} W", number(prediction.watts))
                                                 : std::string("power not known");
  text += fmt::format("    {}{}; {}\n", money, power, quality_text(ranked.quality));
  for (const std::string& command : ranked.prepare) text += fmt::format("    {}\n", command);
  if (!ranked.command.empty()) {
    text += fmt::format("    {}\n", ranked.command);
  } else {
    text += fmt::format("    a calculation: {}\n", plan::no_command_reason(deployment));
  }
  return text;
}

bool mixes_benchmarks(const plan::Ranking& ranking) {
  std::string_view first;
  for (const plan::Ranked& ranked : ranking.deployments) {
    if (!ranked.quality) continue;
    if (first.empty()) first = ranked.quality->benchmark;
    if (ranked.quality->benchmark != first) return true;
  }
  return false;
}

Json percentiles_json(const plan::Percentiles& percentiles) {
  return {{"mean", 1000 * percentiles.mean},
          {"p50", 1000 * percentiles.p50},
          {"p90", 1000 * percentiles.p90},
          {"p99", 1000 * percentiles.p99}};
}

Json deployment_json(const plan::Deployment& deployment) {
  return {{"model", deployment.model.name},
          {"precision", deployment.model.precision},
          {"hardware", deployment.hardware.name},
          {"tp", deployment.tp},
          {"pp", deployment.pp},
          {"ep", deployment.ep},
          {"dp", deployment.dp()},
          {"replicas", deployment.replicas}};
}

Json ranked_json(const plan::Ranked& ranked, double percentile) {
  const plan::Deployment& deployment = ranked.deployment;
  const plan::Prediction& prediction = ranked.prediction;
  const auto money = [&](double usd) { return ranked.cost_known ? Json(usd) : Json(nullptr); };
  Json json = deployment_json(deployment);
  const plan::MemoryUse& memory = prediction.memory;
  json.update({{"memory_bytes", static_cast<int64_t>(memory.total())},
               {"ttft_ms", 1000 * plan::at_percentile(prediction.ttft_seconds, percentile)},
               {"itl_ms", 1000 * plan::at_percentile(prediction.itl_seconds, percentile)},
               {"tokens_per_second", prediction.output_tokens_per_second},
               {"usd_per_million_requests", money(prediction.usd_per_million_requests)},
               {"bound_by", plan::name(prediction.step.bound)},
               {"command", ranked.command},
               {"prepare", ranked.prepare},
               {"title", deployment.model.title},
               {"tier", deployment.model.tier},
               {"devices", deployment.devices()},
               {"offloaded", deployment.offloaded},
               {"max_running", deployment.max_running},
               {"simulated", prediction.simulated},
               {"memory",
                {{"weights", memory.weights},
                 {"cache", memory.cache},
                 {"activations", memory.activations},
                 {"program", memory.program},
                 {"host", memory.host}}},
               {"kv_memory_bytes", ranked.kv_memory_bytes},
               {"cached_tokens_p99", prediction.cached_tokens},
               {"ttft", percentiles_json(prediction.ttft_seconds)},
               {"itl", percentiles_json(prediction.itl_seconds)},
               {"requests_per_second", prediction.requests_per_second},
               {"most_requests_per_second", ranked.most_requests_per_second},
               {"utilisation", prediction.utilisation},
               {"mean_batch", prediction.mean_batch},
               {"preemptions", prediction.preemptions},
               {"watts", prediction.watts},
               {"usd_per_hour", money(prediction.usd_per_hour)},
               {"usd_per_million_tokens", money(prediction.usd_per_million_tokens)},
               {"rented", ranked.rented},
               {"released", deployment.model.released},
               {"licence", deployment.model.licence},
               {"model_source", deployment.model.source},
               {"hardware_source", deployment.hardware.source}});
  json["quality"] = nullptr;
  if (ranked.quality) {
    json["quality"] = {{"score", ranked.quality->score},
                       {"benchmark", ranked.quality->benchmark},
                       {"measured", ranked.quality->measured},
                       {"source", ranked.quality->source},
                       {"date", nullptr},
                       {"precision", nullptr}};
    if (ranked.quality->measured) json["quality"]["date"] = ranked.quality->date;
    if (!ranked.quality->precision.empty()) {
      json["quality"]["precision"] = ranked.quality->precision;
    }
  }
  return json;
}

std::string ruled_out_text(const plan::RuledOut& out) {
  return fmt::format(
      "    {} {} on {}:\n      {}\n",
      out.deployment.model.title.empty() ? out.deployment.model.name : out.deployment.model.title,
      out.deployment.model.precision, plan::placement_text(out.deployment), out.reason);
}

std::string break_even_text(const BreakEvenReport& report, const plan::Ranking& ranking) {
  const auto what = [&](size_t place) {
    const plan::Deployment& deployment = ranking.deployments[place].deployment;
    return fmt::format("{} {} on {}", deployment.model.title, deployment.model.precision,
                       plan::placement_text(deployment));
  };
  std::string text = fmt::format("\nA: {}\nB: {}\n", what(report.first), what(report.second));
  const char below = report.result.second_is_cheaper_below ? 'B' : 'A';
  const char above = below == 'A' ? 'B' : 'A';
  if (report.result.requests_per_month) {
    text += fmt::format("{} costs less up to {:.0f} requests a month, {} from there on.\n", below,
                        *report.result.requests_per_month, above);
  } else {
    text += fmt::format("{} costs less at every volume.\n", below);
  }
  text += fmt::format("{:>16} {:>14} {:>14}", "requests/month", "A, US$", "B, US$");
  if (report.escalated) {
    text += fmt::format(" {:>24}", fmt::format("A then B ({:g}%)", 100 * *report.escalated));
  }
  text += "\n";
  for (const double volume : kVolumes) {
    text += fmt::format("{:>16.0f} {:>14.2f} {:>14.2f}", volume,
                        plan::month_usd(report.first_cost, volume),
                        plan::month_usd(report.second_cost, volume));
    if (report.escalated) {
      text += fmt::format(
          " {:>24.2f}",
          plan::hybrid_month_usd(report.first_cost, report.second_cost, *report.escalated, volume));
    }
    text += "\n";
  }
  return text;
}

Json break_even_json(const BreakEvenReport& report) {
  Json volumes = Json::array();
  for (const double volume : kVolumes) {
    Json row{{"requests_per_month", volume},
             {"first_usd", plan::month_usd(report.first_cost, volume)},
             {"second_usd", plan::month_usd(report.second_cost, volume)}};
    if (report.escalated) {
      row["hybrid_usd"] =
          plan::hybrid_month_usd(report.first_cost, report.second_cost, *report.escalated, volume);
    }
    volumes.push_back(std::move(row));
  }
  Json json{{"first", report.first + 1},
            {"second", report.second + 1},
            {"cheaper_below", report.result.second_is_cheaper_below ? "second" : "first"},
            {"requests_per_month", nullptr},
            {"volumes", std::move(volumes)}};
  if (report.result.requests_per_month) {
    json["requests_per_month"] = *report.result.requests_per_month;
  }
  if (report.escalated) json["escalated"] = *report.escalated;
  return json;
}

}  // namespace

Result<BreakEvenReport> compare_costs(const plan::Ranking& ranking, const plan::Prices& prices,
                                      size_t first, size_t second, double fixed_usd,
                                      std::optional<double> escalated) {
  const size_t count = ranking.deployments.size();
  if (first >= count || second >= count) {
    return usage_error("--break-even takes places of the ranking, which has {}, not {} and {}.",
                       count, first + 1, second + 1);
  }
  const auto cost = [&](size_t place) {
    const plan::Ranked& ranked = ranking.deployments[place];
    return plan::cost_model(ranked.deployment, ranked.prediction, prices);
  };
  for (const size_t place : {first, second}) {
    if (ranking.deployments[place].cost_known) continue;
    return usage_error(
        "What {} costs is not known, so there is no break-even. Describe it with its price in a "
        "file (--hardware-file).",
        ranking.deployments[place].deployment.hardware.name);
  }
  BreakEvenReport report{.first = first,
                         .second = second,
                         .first_cost = cost(first),
                         .second_cost = cost(second),
                         .result = {},
                         .escalated = escalated};
  report.first_cost.fixed_usd = fixed_usd;
  report.result = plan::break_even(report.first_cost, report.second_cost);
  return report;
}

std::string load_text(const plan::Question& question) {
  const plan::Workload& workload = question.workload;
  std::string text;
  if (!workload.trace.empty()) {
    const double gap = plan::longest_gap(workload.trace);
    return fmt::format("{} requests of a trace over {:.0f} s, at most {} s apart",
                       workload.trace.size(), workload.trace.back().at,
                       gap < 100 ? fmt::format("{:.3g}", gap) : fmt::format("{:.0f}", gap));
  }
  if (workload.sessions > 0) {
    text = fmt::format("{} session{}", workload.sessions, workload.sessions == 1 ? "" : "s");
  } else {
    text = fmt::format("{:g} requests/s", workload.requests_per_second);
  }
  text += fmt::format(", prompts of {} tokens, answers of {}", workload.prompt_tokens.text(),
                      workload.output_tokens.text());
  if (workload.shared_prefix_tokens > 0) {
    text += fmt::format(", {} more tokens shared by all", workload.shared_prefix_tokens);
  }
  return text;
}

std::string plan_text(const plan::Question& question, const plan::Ranking& ranking, size_t top,
                      const std::optional<BreakEvenReport>& break_even) {
  const plan::Wishes& wishes = question.wishes;
  std::string text = fmt::format("{}\ntimes at the {:g}th percentile, in ms; ranked by {}\n",
                                 load_text(question), wishes.percentile, plan::name(question.by));
  for (const plan::Hardware& hardware : question.hardware) {
    if (!hardware.measured) continue;
    text += wrapped("", 0, fmt::format("{}; {}", hardware.title, hardware.source));
  }
  text += "\n";
  if (!ranking.deployments.empty()) {
    text += fmt::format("{:>3} {:<23} {:<5} {:<20} {:>8} {:>8} {:>7} {:>8} {:>9}\n", "", "model",
                        "", "hardware", "memory", "TTFT", "ITL", "tokens/s", "US$/M req");
  }
  const size_t shown = std::min(top, ranking.deployments.size());
  for (size_t i = 0; i < shown; ++i) {
    text += deployment_text(i + 1, ranking.deployments[i], wishes.percentile);
  }
  const bool by_quality =
      question.by == plan::RankBy::kQuality || question.wishes.least_quality.has_value();
  if (by_quality && mixes_benchmarks(ranking)) {
    text +=
        "    Scores of different benchmarks stand side by side above: they are not on one scale.\n";
  }
  if (shown < ranking.deployments.size()) {
    text += fmt::format("    and {} more that do as wished, by estimate (--top, --json)\n",
                        ranking.deployments.size() - shown);
  }
  if (break_even) text += break_even_text(*break_even, ranking);
  if (!ranking.ruled_out.empty()) {
    text += fmt::format("\nRuled out, the nearest first ({} in all):\n", ranking.ruled_out.size());
  }
  for (size_t i = 0; i < std::min(kRuledOutShown, ranking.ruled_out.size()); ++i) {
    text += ruled_out_text(ranking.ruled_out[i]);
  }
  return text;
}

std::string plan_json(const plan::Question& question, const plan::Ranking& ranking,
                      const std::optional<BreakEvenReport>& break_even) {
  Json deployments = Json::array();
  for (const plan::Ranked& ranked : ranking.deployments) {
    deployments.push_back(ranked_json(ranked, question.wishes.percentile));
  }
  Json ruled_out = Json::array();
  for (const plan::RuledOut& out : ranking.ruled_out) {
    Json json = deployment_json(out.deployment);
    json["constraint"] = out.constraint;
    json["reason"] = out.reason;
    json["excess"] = std::isfinite(out.excess) ? Json(out.excess) : Json(nullptr);
    ruled_out.push_back(std::move(json));
  }
  Json document{{"load", load_text(question)},           {"percentile", question.wishes.percentile},
                {"by", plan::name(question.by)},         {"candidates", ranking.candidates},
                {"deployments", std::move(deployments)}, {"ruled_out", std::move(ruled_out)}};
  document["quality_task"] =
      ranking.quality_task.empty() ? Json(nullptr) : Json(ranking.quality_task);
  if (break_even) document["break_even"] = break_even_json(*break_even);
  return fmt::format("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
}

std::string nothing_found_text(const plan::Ranking& ranking) {
  if (ranking.ruled_out.empty()) return "There was nothing to choose from.";
  const plan::RuledOut& nearest = ranking.ruled_out.front();
  const plan::Deployment& deployment = nearest.deployment;
  return fmt::format(
      "No deployment does all that is wished for. The nearest is {} in {} on {}, which fails at "
      "{}: "
      "{}.",
      deployment.model.title.empty() ? deployment.model.name : deployment.model.title,
      deployment.model.precision, plan::placement_text(deployment), nearest.constraint,
      lower_first(nearest.reason));
}

}  // namespace fathom::cli
