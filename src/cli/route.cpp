// fathom route: calibrates when the server's model "auto" sends a request to the large model.
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/quote.h"
#include "cli/command.h"
#include "cli/input_file.h"
#include "cli/output_file.h"
#include "cli/route_report.h"
#include "cli/route_trials.h"
#include "cli/serve_options.h"
#include "cli/terminal.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;
using route::CurvePoint;

// From so many questions on, half of them are kept from the fit, to report on.
constexpr size_t kEnoughToHoldOut = 40;

struct RouteFlags {
  ServeFlags models;  // -m and how to compute
  std::string questions;
  std::string output;
  std::string judge = "first";
  int64_t tokens = 16;
  std::string scoring = "contains";
  int64_t max_tokens = 256;
  double quality = -1;
  double budget = -1;
  std::string prices;
  std::string plot;
  bool json = false;
};

Result<route::Scoring> scoring_of(const std::string& name) {
  if (name == "exact") return route::Scoring::kExact;
  if (name == "contains") return route::Scoring::kContains;
  if (name == "f1") return route::Scoring::kF1;
  return usage_error("--score is {}; it must be exact, contains or f1.", in_quotes(name));
}

Status validate(const RouteFlags& flags) {
  FATHOM_CHECK(validate(flags.models.model));
  const bool has_quality = flags.quality >= 0;
  const bool has_budget = flags.budget >= 0;
  if (has_quality == has_budget) {
    return usage_error("Say what is wanted: either --quality Q or --budget SHARE.");
  }
  if (has_quality && !(flags.quality <= 1)) {
    return usage_error("--quality is {}; it must be 0 to 1.", flags.quality);
  }
  if (flags.judge != "first" && flags.judge != "whole") {
    return usage_error("--judge is {}; it must be first or whole.", in_quotes(flags.judge));
  }
  if (flags.tokens < 1 || flags.tokens > 4096) {
    return usage_error("--tokens is {}; it must be 1 to 4096.", flags.tokens);
  }
  if (flags.max_tokens < 1) {
    return usage_error("--max-tokens is {}; it must be 1 or more.", flags.max_tokens);
  }
  return {};
}

// The two models called lite and v1.
struct Pair {
  ModelChoice lite;
  ModelChoice v1;
};

Result<Pair> choose_pair(const ServeFlags& flags) {
  FATHOM_TRY(const auto choices, model_choices(flags));
  Pair pair;
  for (const ModelChoice& choice : choices) {
    if (choice.name == "lite") pair.lite = choice;
    if (choice.name == "v1") pair.v1 = choice;
  }
  if (choices.size() != 2 || pair.lite.name.empty() || pair.v1.name.empty()) {
    return usage_error("Give the two models by name: -m lite=MODEL -m v1=MODEL.");
  }
  return pair;
}

// Costs become shares of what V1 costs when it answers everything.
Status in_shares_of_v1(std::vector<route::Trial>& trials) {
  double total = 0;
  for (const route::Trial& trial : trials) total += trial.v1_cost;
  if (!(total > 0)) return fail("V1's answers cost nothing by the price table: does it name v1?");
  const double unit = total / static_cast<double>(trials.size());
  for (route::Trial& trial : trials) {
    trial.judged_cost /= unit;
    trial.lite_cost /= unit;
    trial.v1_cost /= unit;
  }
  return {};
}

Json to_json(const CurvePoint& point) {
  return {{"threshold", point.threshold},
          {"v1_share", point.escalated},
          {"quality", point.quality},
          {"cost", point.cost}};
}

Result<CurvePoint> choose(const RouteFlags& flags, std::span<const CurvePoint> points) {
  if (flags.quality >= 0) {
    if (const auto point = route::cheapest_with_quality(points, flags.quality)) return *point;
    double best = 0;
    for (const CurvePoint& point : points) best = std::max(best, point.quality);
    return fail("No threshold reaches a quality of {:.3f}: the best is {:.3f}.", flags.quality,
                best);
  }
  if (const auto point = route::best_within_cost(points, flags.budget)) return *point;
  return fail("No threshold costs at most {:.3f} of V1: Lite alone costs {:.3f}.", flags.budget,
              points.front().cost);
}

Result<int> calibrate(const RouteFlags& flags) {
  FATHOM_CHECK(validate(flags));
  FATHOM_TRY(const route::Scoring scoring, scoring_of(flags.scoring));
  FATHOM_TRY(const std::string text, read_input_file(flags.questions));
  FATHOM_TRY(const auto questions, route::parse_questions(text, flags.questions));
  FATHOM_TRY(const Pair pair, choose_pair(flags.models));
  serve::Prices prices;
  if (!flags.prices.empty()) {
    FATHOM_TRY(const std::string table, read_input_file(flags.prices));
    FATHOM_TRY(prices, serve::Prices::parse(table, flags.prices));
  }
  route::Policy policy{
      .judge = flags.judge == "first" ? route::Judge::kFirstTokens : route::Judge::kWholeAnswer,
      .tokens = flags.tokens};
  FATHOM_TRY(const Model lite, load_model(pair.lite.model));
  FATHOM_TRY(const Model v1, load_model(pair.v1.model));
  FATHOM_TRY(auto trials, run_trials(lite, v1, questions,
                                     {.policy = policy,
                                      .scoring = scoring,
                                      .max_tokens = flags.max_tokens,
                                      .prices = flags.prices.empty() ? nullptr : &prices}));
  FATHOM_CHECK(in_shares_of_v1(trials));

  // Every other question, so that a file sorted by difficulty is split evenly.
  const bool holds_out = trials.size() >= kEnoughToHoldOut;
  std::vector<route::Trial> fitted;
  std::vector<route::Trial> held_out;
  for (size_t i = 0; i < trials.size(); ++i) {
    (holds_out && i % 2 == 1 ? held_out : fitted).push_back(trials[i]);
  }
  policy.confidence = route::fit(fitted);
  const auto points = route::curve(policy, fitted);
  FATHOM_TRY(const CurvePoint chosen, choose(flags, points));
  policy.threshold = chosen.threshold;
  FATHOM_CHECK(write_output_file(flags.output, route::to_json(policy)));
  if (!flags.plot.empty()) {
    FATHOM_CHECK(write_output_file(flags.plot, draw_curve(points, chosen)));
  }

  if (flags.json) {
    Json json = {{"questions", trials.size()}, {"chosen", to_json(chosen)}};
    json["held_out"] = holds_out ? to_json(route::evaluate(policy, held_out)) : Json();
    json["curve"] = Json::array();
    for (const CurvePoint& point : points) json["curve"].push_back(to_json(point));
    print(json.dump(2) + "\n");
    return 0;
  }
  const auto describe = [](const CurvePoint& point) {
    return fmt::format("quality {:.3f} at {:.1f}% of V1's cost, V1 answering {:.1f}%",
                       point.quality, 100 * point.cost, 100 * point.escalated);
  };
  print(curve_table(points, 12));
  print(fmt::format("\nThreshold {:.3f}: {}.\n", chosen.threshold, describe(chosen)));
  print(holds_out ? fmt::format("On the other half of the questions: {}.\n",
                                describe(route::evaluate(policy, held_out)))
                  : fmt::format("With fewer than {} questions none were kept aside to check this: "
                                "expect less of new ones.\n",
                                kEnoughToHoldOut));
  print(fmt::format("Written to {}; use it with fathom serve --route {}\n", flags.output,
                    flags.output));
  return 0;
}

}  // namespace

void add_route(CLI::App& app, Chosen& chosen) {
  auto* route = app.add_subcommand("route", "when the server's model \"auto\" asks which model");
  route->require_subcommand(1, 1);
  auto* command = route->add_subcommand(
      "calibrate", "finds, on questions with answers, when the small model is sure enough");
  auto flags = std::make_shared<RouteFlags>();
  command
      ->add_option("questions", flags->questions,
                   "JSONL: {\"prompt\" or \"messages\", \"answer\" or \"preferred\"} a line")
      ->required()
      ->type_name("FILE");
  add_named_models_option(*command, flags->models);
  command->add_option("-o,--output", flags->output, "where the route is written")
      ->required()
      ->type_name("FILE");
  command->add_option("--quality", flags->quality,
                      "the cheapest threshold of this quality, 0 to 1");
  command->add_option("--budget", flags->budget,
                      "the best threshold that costs at most this share of V1 answering all");
  command
      ->add_option(
          "--judge", flags->judge,
          "judge Lite by its first tokens, or by its whole answer before showing any of it")
      ->type_name("first|whole");
  command->add_option("--tokens", flags->tokens, "how many first tokens")->type_name("N");
  command->add_option("--score", flags->scoring, "how an answer is compared with the right one")
      ->type_name("exact|contains|f1");
  command->add_option("--max-tokens", flags->max_tokens, "of an answer")->type_name("N");
  command
      ->add_option("--prices", flags->prices,
                   "what tokens of lite and v1 cost, as for fathom serve; without it, tokens times "
                   "active parameters")
      ->type_name("FILE");
  command->add_option("--plot", flags->plot, "draw quality against cost (SVG)")->type_name("FILE");
  command->add_flag("--json", flags->json, "print JSON");
  add_compute_options(*command, flags->models.model);
  add_context_option(*command, flags->models.model);
  add_kv_cache_option(*command, flags->models.model);
  add_packed_cache_options(*command, flags->models.model);
  command->footer(
      "Example:\n"
      "  fathom route calibrate questions.jsonl -m lite=small.gguf -m v1=large.gguf \\\n"
      "      --quality 0.9 -o route.json --plot route.svg");
  command->callback([&chosen, flags] { chosen.action = [flags] { return calibrate(*flags); }; });
}

}  // namespace fathom::cli
