// fathom plan: which model, precision and hardware for a load, and how they are predicted to do.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "cli/output_file.h"
#include "cli/plan.h"
#include "cli/plan_catalogue.h"
#include "cli/plan_document.h"
#include "cli/plan_fit.h"
#include "cli/plan_options.h"
#include "cli/plan_report.h"
#include "cli/plan_verify.h"
#include "cli/terminal.h"
#include "plan/html_report.h"

namespace fathom::cli {
namespace {

plan::Prediction predict(const plan::Deployment& deployment, const plan::Workload& workload) {
  // From an empty server on, as a load test has it.
  const auto prediction = plan::simulate(deployment, workload, {.warm_up_share = 0});
  return prediction ? *prediction : plan::estimate(deployment, workload);
}

Result<int> verify_best(const PlanFlags& flags, const plan::Question& question,
                        const plan::Ranking& ranking) {
  const auto here = std::ranges::find_if(ranking.deployments, [](const plan::Ranked& ranked) {
    return ranked.deployment.hardware.measured;
  });
  if (here == ranking.deployments.end()) {
    return usage_error(
        "None of the ranking is on this machine, so there is nothing to verify. Ask with "
        "--hardware this.");
  }
  ModelOptions model;
  model.model = here->deployment.model.name;
  model.kv_cache = flags.kv_cache;
  model.context = here->deployment.context;
  // A look at a large model should not leave a copy of it on the disk.
  model.no_packed_cache = true;
  return verify_plan({.model = model,
                      .deployment = here->deployment,
                      .workload = question.workload,
                      .predict = predict,
                      .seconds = flags.verify_seconds,
                      .minutes = flags.verify_minutes,
                      .json = flags.json});
}

Result<int> show_document(bool json) {
  FATHOM_TRY(const plan::DocumentReport report, plan::compare_document());
  print(json ? document_json(report) : document_text(report));
  return 0;
}

Result<int> show_catalogue(bool json) {
  FATHOM_TRY(const std::string text, json ? catalogue_json() : catalogue_text());
  print(text);
  return 0;
}

Result<int> show_plan(const PlanFlags& flags) {
  if (flags.document) return show_document(flags.json);
  if (flags.catalogue) return show_catalogue(flags.json);
  if (!flags.fit && !flags.fit_files.empty()) {
    return usage_error("--fit-file is for --fit, which makes use of it.");
  }
  if (flags.fit) return fit_plan({.files = flags.fit_files, .json = flags.json});
  FATHOM_TRY(const plan::Question question, plan_question(flags));
  FATHOM_TRY(const plan::Ranking ranking, plan::rank(question));
  if (flags.verify) {
    if (ranking.deployments.empty()) return fail("{}", nothing_found_text(ranking));
    return verify_best(flags, question, ranking);
  }
  std::optional<BreakEvenReport> break_even;
  if (!flags.break_even.empty() && !ranking.deployments.empty()) {
    FATHOM_TRY(break_even,
               compare_costs(ranking, question.prices, flags.break_even[0] - 1,
                             flags.break_even[1] - 1, flags.fixed_usd, flags.escalated));
  }
  if (!flags.html.empty()) {
    FATHOM_CHECK(write_output_file(flags.html, plan::html_report(question, ranking)));
  }
  print(flags.json ? plan_json(question, ranking, break_even)
                   : plan_text(question, ranking, static_cast<size_t>(flags.top), break_even));
  if (ranking.deployments.empty()) return fail("{}", nothing_found_text(ranking));
  return 0;
}

}  // namespace

void add_plan(CLI::App& app, Chosen& chosen) {
  auto* command =
      app.add_subcommand("plan", "which model, precision and hardware for a load and a budget");
  auto flags = std::make_shared<PlanFlags>();
  add_plan_options(*command, *flags);
  command->footer(
      "Examples:\n"
      "  fathom plan -m model.gguf --sessions 4\n"
      "  fathom plan --rate 2 --prompt lognormal:400,0.8 --ttft-ms 500 --itl-ms 50 --hardware all\n"
      "  fathom plan -m v2-lite -m v3 --hardware h100-80gb --rate 20 --budget 60 --json\n"
      "  fathom plan --catalogue");
  command->callback([&chosen, flags] { chosen.action = [flags] { return show_plan(*flags); }; });
}

}  // namespace fathom::cli
