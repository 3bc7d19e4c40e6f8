#include "cli/plan_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "base/quote.h"
#include "checkpoint/checkpoint.h"
#include "cli/flag_checks.h"
#include "cli/input_file.h"
#include "cli/model_options.h"
#include "cli/plan_fit.h"
#include "cli/plan_ledger.h"
#include "plan/evaluations.h"
#include "plan/this_machine.h"

namespace fathom::cli {
namespace {

namespace fs = std::filesystem;

Result<fs::path> find_own_model(const std::string& text) {
  ModelOptions options;
  options.model = text;
  return find_model(options);
}

constexpr std::string_view kThis = "this";
constexpr std::string_view kAll = "all";

Status check_range(std::string_view flag, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  return usage_error("{} is {:g}; it must be {:g} to {:g}.", flag, value, low, high);
}

Result<CacheType> cache_type(const std::string& text) {
  for (const CacheType type : {CacheType::kF16, CacheType::kBF16, CacheType::kInt8}) {
    if (name(type) == text) return type;
  }
  return usage_error("--kv-cache is {}; it must be f16, bf16 or int8.", in_quotes(text));
}

Result<plan::Workload> workload_of(const PlanFlags& flags) {
  plan::Workload workload = flags.question.workload;
  FATHOM_TRY(workload.prompt_tokens, loadtest::Lengths::parse(flags.prompt, "--prompt"));
  FATHOM_TRY(workload.output_tokens, loadtest::Lengths::parse(flags.output, "--output"));
  if (!flags.trace.empty() && !flags.ledger.empty()) {
    return usage_error("--trace and --ledger are two sources of one trace: give one of them.");
  }
  if (!flags.trace.empty()) {
    FATHOM_TRY(const std::string text, read_input_file(flags.trace));
    FATHOM_TRY(workload.trace,
               plan::parse_past_requests(text, flags.trace == "-" ? "The trace" : flags.trace));
  } else if (!flags.ledger.empty()) {
    FATHOM_TRY(workload.trace, read_past_requests(flags.ledger));
  }
  FATHOM_CHECK(plan::validate(workload));
  return workload;
}

// A file or folder of the user's: a checkpoint as it is stored, or a configuration at each
// precision.
Status add_own_model(const std::string& text, const std::vector<std::string>& precisions,
                     std::vector<plan::ModelFacts>& models) {
  std::error_code ignored;
  fs::path config = text;
  if (fs::is_directory(config, ignored)) {
    const auto is_weights = [](const fs::directory_entry& entry) {
      return entry.path().extension() == ".safetensors";
    };
    const fs::directory_iterator entries(config, ignored);
    config = std::ranges::any_of(entries, is_weights) ? fs::path() : config / "config.json";
  }
  if (config.extension() == ".json" && fs::is_regular_file(config, ignored)) {
    FATHOM_TRY(const std::string json, read_input_file(config.string()));
    for (const std::string& precision : precisions) {
      FATHOM_TRY(plan::ModelFacts facts, plan::facts_of_config(json, text, precision));
      models.push_back(std::move(facts));
    }
    return {};
  }
  FATHOM_TRY(const fs::path path, find_own_model(text));
  FATHOM_TRY(const auto checkpoint, Checkpoint::open(path));
  FATHOM_TRY(plan::ModelFacts facts, plan::facts_of(*checkpoint));
  facts.name = text;
  models.push_back(std::move(facts));
  return {};
}

Status add_model(const std::string& text, const PlanFlags& flags,
                 std::vector<plan::ModelFacts>& models) {
  const auto& known = plan::catalogue_models();
  std::error_code ignored;
  const bool is_known = std::ranges::find(known, text) != known.end();
  if (!is_known && (fs::exists(text, ignored) || find_own_model(text))) {
    return add_own_model(text, flags.precisions.empty() ? plan::precisions() : flags.precisions,
                         models);
  }
  if (!is_known) {
    // Says which are near.
    FATHOM_TRY(plan::ModelFacts facts, plan::catalogue_facts(text, "q4_0"));
    models.push_back(std::move(facts));
    return {};
  }
  const std::vector<std::string> precisions =
      flags.precisions.empty() ? plan::precisions_of(text) : flags.precisions;
  for (const std::string& precision : precisions) {
    FATHOM_TRY(plan::ModelFacts facts, plan::catalogue_facts(text, precision));
    models.push_back(std::move(facts));
  }
  return {};
}

Status add_models(const PlanFlags& flags, std::vector<plan::ModelFacts>& models) {
  for (const std::string& precision : flags.precisions) {
    if (!plan::is_precision(precision)) {
      return usage_error("--precision is {}; it must be {}.", in_quotes(precision),
                         fmt::join(plan::precisions(), ", "));
    }
  }
  if (!flags.models.empty()) {
    for (const std::string& text : flags.models) {
      FATHOM_CHECK(add_model(text, flags, models));
    }
    return {};
  }
  for (const std::string& text : plan::catalogue_models()) {
    for (const std::string& precision : plan::precisions_of(text)) {
      const auto& chosen = flags.precisions;
      if (!chosen.empty() && std::ranges::find(chosen, precision) == chosen.end()) continue;
      FATHOM_TRY(plan::ModelFacts facts, plan::catalogue_facts(text, precision));
      models.push_back(std::move(facts));
    }
  }
  return {};
}

Status add_hardware(const PlanFlags& flags, std::vector<plan::Hardware>& hardware) {
  std::vector<plan::Hardware> own;
  if (!flags.hardware_file.empty()) {
    FATHOM_TRY(const std::string text, read_input_file(flags.hardware_file));
    FATHOM_TRY(own, plan::parse_hardware(text, flags.hardware_file));
  }
  std::vector<std::string> names = flags.hardware;
  if (names.empty() && own.empty()) names.emplace_back(kThis);
  if (names.empty()) hardware = own;
  for (const std::string& text : names) {
    if (text == kAll) {
      hardware.insert(hardware.end(), own.begin(), own.end());
      const auto& catalogue = plan::hardware_catalogue();
      hardware.insert(hardware.end(), catalogue.begin(), catalogue.end());
    } else if (text == kThis) {
      FATHOM_TRY(const fs::path folder, measurements_folder());
      FATHOM_TRY(const plan::ThisMachine machine, plan::this_machine({.folder = folder}));
      hardware.push_back(machine.hardware);
    } else {
      FATHOM_TRY(plan::Hardware found, plan::find_hardware(text, own));
      hardware.push_back(std::move(found));
    }
  }
  return {};
}

Status add_qualities(const PlanFlags& flags, plan::Question& question) {
  const ResultsOptions& results = flags.results;
  if (results.off && !results.file.empty()) {
    return usage_error("--results and --no-results contradict each other.");
  }
  if (!results.off) {
    fs::path file = results.file;
    if (file.empty()) {
      // Without a home there are no results either.
      if (const auto path = EvaluationResults::default_path()) file = *path;
    } else if (std::error_code ignored; !fs::is_regular_file(file, ignored)) {
      return usage_error("There are no results {}. fathom eval writes them.", file.string());
    }
    FATHOM_TRY(question.qualities, plan::read_evaluations(file));
  }
  if (flags.quality_task.empty()) return {};
  FATHOM_TRY(question.quality_task, plan::find_task(flags.quality_task, question.qualities));
  return {};
}

void exclude_others(CLI::App& command, const std::string& flag,
                    const std::vector<std::string>& but) {
  CLI::Option* one = command.get_option(flag);
  for (CLI::Option* other : command.get_options()) {
    const std::string name = other->get_name();
    const bool allowed =
        name == flag || name == "--help" || std::ranges::find(but, name) != but.end();
    if (!allowed) one->excludes(other);
  }
}

}  // namespace

Result<plan::Question> plan_question(const PlanFlags& flags) {
  plan::Question question = flags.question;
  FATHOM_CHECK(plan::validate(question.wishes));
  FATHOM_CHECK(check_range("--max-running", static_cast<double>(question.max_running), 1, 65536));
  FATHOM_CHECK(check_range("--most-devices", question.most_devices, 1, 100'000));
  FATHOM_CHECK(check_range("--top", static_cast<double>(flags.top), 1, 100));
  FATHOM_CHECK(check_range("--kwh-usd", question.prices.usd_per_kwh, 0, 100));
  FATHOM_CHECK(check_range("--write-off-years", question.prices.write_off_years, 0.1, 100));
  FATHOM_CHECK(check_range("--fixed-usd", flags.fixed_usd, 0, 1e12));
  FATHOM_CHECK(check_range("--verify-seconds", flags.verify_seconds, 0.1, 3600));
  FATHOM_CHECK(check_range("--verify-minutes", flags.verify_minutes, 0.01, 1440));
  if (flags.escalated) FATHOM_CHECK(check_range("--escalated", *flags.escalated, 0, 1));
  if (flags.escalated && flags.break_even.empty()) {
    return usage_error(
        "--escalated is the share of requests that Lite (A) passes on to V1 (B) in "
        "--break-even A B: give both.");
  }
  for (const size_t place : flags.break_even) {
    if (place < 1) return usage_error("--break-even takes places of the ranking, from 1 on.");
  }
  if (!flags.break_even.empty() && flags.break_even[0] == flags.break_even[1]) {
    return usage_error("--break-even compares two places of the ranking, not {} with itself.",
                       flags.break_even[0]);
  }
  FATHOM_TRY(question.cache, cache_type(flags.kv_cache));
  const auto by = plan::find_rank_by(flags.by);
  if (!by) {
    return usage_error("--by is {}; it must be cost, latency or quality.", in_quotes(flags.by));
  }
  question.by = *by;
  question.simulated = static_cast<size_t>(flags.top);
  question.prices.buy = question.prices.buy || question.wishes.on_premises;
  FATHOM_TRY(question.workload, workload_of(flags));
  FATHOM_CHECK(add_models(flags, question.models));
  FATHOM_CHECK(add_qualities(flags, question));
  FATHOM_CHECK(add_hardware(flags, question.hardware));
  return question;
}

void add_plan_options(CLI::App& command, PlanFlags& flags) {
  plan::Question& question = flags.question;
  const auto list = [&](const char* flag, std::vector<std::string>& into, std::string_view what) {
    return command.add_option(flag, into, std::string(what))
        ->expected(1)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  list("-m,--model", flags.models,
       "a model of the catalogue, a checkpoint, or a config.json; may be repeated; all of the "
       "catalogue if left out")
      ->type_name("MODEL");
  list("--precision", flags.precisions, "only these; may be repeated; all if left out")
      ->type_name("q4_0|q8_0|bf16|fp8");
  list("--hardware", flags.hardware,
       "this (machine, the default), one of the catalogue, or all; may be repeated")
      ->type_name("NAME");
  command.add_option("--hardware-file", flags.hardware_file, "more hardware, a YAML or JSON file")
      ->type_name("FILE");

  command
      .add_option("--rate", question.workload.requests_per_second,
                  "the load: so many requests a second, by chance")
      ->type_name("R")
      ->check(not_zero);
  command
      .add_option("--sessions", question.workload.sessions,
                  "the load: so many that each ask, wait for the answer and ask again")
      ->type_name("N")
      ->check(not_zero);
  command.add_option("--trace", flags.trace, "the load: JSON lines; - for standard input")
      ->type_name("FILE");
  command.add_option("--ledger", flags.ledger, "the load: a database that fathom serve wrote")
      ->type_name("FILE");
  command
      .add_option("--prompt", flags.prompt,
                  "tokens of a prompt: 256, uniform:16-128, normal:48,16, lognormal:48,0.5")
      ->type_name("LENGTHS");
  command.add_option("--output", flags.output, "tokens of an answer, likewise; 128 if left out")
      ->type_name("LENGTHS");
  command
      .add_option("--shared-prefix", question.workload.shared_prefix_tokens,
                  "tokens before every prompt that are the same for all")
      ->type_name("N");
  command.add_option("--seed", question.workload.seed, "equal seeds draw the same load")
      ->type_name("N")
      ->check(is_seed);

  command.add_option("--ttft-ms", question.wishes.ttft_ms, "the longest time to the first token")
      ->type_name("MS")
      ->check(not_zero);
  command.add_option("--itl-ms", question.wishes.itl_ms, "the longest time between two tokens")
      ->type_name("MS")
      ->check(not_zero);
  command
      .add_option("--percentile", question.wishes.percentile,
                  "of requests that these hold for (90)")
      ->type_name("P");
  command
      .add_option("--context", question.wishes.context, "the longest prompt with its answer (4096)")
      ->type_name("N");
  command
      .add_option("--quality", question.wishes.least_quality,
                  "the least score of an evaluation, 0 to 100")
      ->type_name("SCORE");
  command
      .add_option(
          "--quality-task", flags.quality_task,
          "whose scores count: a task of fathom eval (the one that most models were measured "
          "by if left out), MMLU or GPQA Diamond")
      ->type_name("TASK");
  command
      .add_option("--results", flags.results.file,
                  "the SQLite file of fathom eval's results; "
                  "~/.local/share/fathom/evaluations.db if left out")
      ->type_name("FILE");
  command.add_flag("--no-results", flags.results.off, "by published scores alone");
  command.add_option("--modality", question.wishes.modality, "what models must take")
      ->type_name("text|image");
  command.add_flag("--on-premises", question.wishes.on_premises,
                   "only hardware that can stand here; it is bought, not rented");
  command.add_option("--budget", question.wishes.usd_per_hour, "the most that all may cost")
      ->type_name("USD_PER_HOUR")
      ->check(not_zero);

  command.add_option("--by", flags.by, "what ranks first")->type_name("cost|latency|quality");
  command.add_option("--kv-cache", flags.kv_cache, "how keys and values are kept")
      ->type_name("f16|bf16|int8");
  command
      .add_option("--max-running", question.max_running, "answers that a copy computes together")
      ->type_name("N");
  command.add_option("--most-devices", question.most_devices, "devices of all copies (64)")
      ->type_name("N");
  command.add_option("--top", flags.top, "how many are simulated and printed (5)")->type_name("N");
  command.add_option("--kwh-usd", question.prices.usd_per_kwh, "what a kilowatt-hour costs (0.15)")
      ->type_name("USD");
  command
      .add_option("--write-off-years", question.prices.write_off_years,
                  "of hardware that is bought (3)")
      ->type_name("Y");
  command.add_flag("--buy", question.prices.buy, "buy also what could be rented");

  command
      .add_option("--break-even", flags.break_even,
                  "from which monthly volume the cheaper of two of the ranking's places changes")
      ->expected(2)
      ->type_name("A B");
  command.add_option("--fixed-usd", flags.fixed_usd, "a month, that A costs beside its hardware")
      ->type_name("USD");
  command
      .add_option(
          "--escalated", flags.escalated,
          "also reckon A in front of B, with this share of requests passed on to B (0 to 1)")
      ->type_name("SHARE");
  command.add_flag("--json", flags.json, "print JSON");
  command.add_option("--html", flags.html, "also write a report with plots")->type_name("FILE");
  command.add_flag("--document", flags.document,
                   "instead: the claims of the overview of DeepSeek models, each with a verdict");
  command.add_flag("--catalogue", flags.catalogue,
                   "instead: the models and the hardware of the catalogue, with their sources");

  command.add_flag("--fit", flags.fit,
                   "instead: measure what steps cost on this machine, for all later plans");
  list("--fit-file", flags.fit_files,
       "fit to this output of fathom bench --json instead of measuring; may be repeated")
      ->type_name("FILE");
  command.add_flag(
      "--verify", flags.verify,
      "run the best of the ranking on this machine, and print predicted beside measured");
  command
      .add_option("--verify-seconds", flags.verify_seconds,
                  "that each of its three loads lasts, or longer for a slow model (20)")
      ->type_name("S")
      ->needs("--verify");
  command
      .add_option("--verify-minutes", flags.verify_minutes,
                  "that its loads last together at most (10)")
      ->type_name("M")
      ->needs("--verify");
  command.get_option("--fixed-usd")->needs("--break-even");
  // What is done instead of a ranking takes none of its flags.
  exclude_others(command, "--document", {"--json"});
  exclude_others(command, "--catalogue", {"--json"});
  exclude_others(command, "--fit", {"--fit-file", "--json"});
  for (const char* printed : {"--html", "--break-even"}) {
    command.get_option("--verify")->excludes(command.get_option(printed));
  }
}

}  // namespace fathom::cli
