#include "cli/eval_task.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "base/quote.h"
#include "cli/eval_results.h"
#include "cli/input_file.h"
#include "cli/model_options.h"
#include "cli/output_file.h"
#include "cli/remote_answerer.h"
#include "cli/task_answers.h"
#include "cli/terminal.h"
#include "evaluate/answerer.h"
#include "evaluate/superglue.h"
#include "evaluate/task_file.h"
#include "plan/yaml.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

struct TaskOptions {
  ModelOptions model;
  std::vector<std::string> tasks;
  std::string data;  // SuperGLUE's directory
  int64_t shots = 0;
  int64_t limit = 0;  // questions of each task; 0: all
  std::string output;
  RemoteOptions remote;  // without an address: a model here
  ResultsOptions results;
  bool json = false;
};

// Who is asked, and as what its results are kept.
struct Asked {
  std::string name;
  EvaluationKey key;
  std::unique_ptr<Answerer> answerer;
};

// One of SuperGLUE's by its name, or one of the user's own by its file.
Result<Task> read_one_task(const std::string& name, const TaskOptions& options) {
  if (name.ends_with(".yaml") || name.ends_with(".yml")) {
    FATHOM_TRY(const std::string text, read_input_file(name));
    FATHOM_TRY(plan::YamlDocument document, plan::parse_yaml(text, name));
    return read_task(std::move(document.value), name);
  }
  if (name.ends_with(".json")) return read_task_file(name);
  if (std::ranges::find(superglue_tasks(), name) == superglue_tasks().end()) {
    return usage_error(
        "There is no task {}. There are superglue, {}, and those of your own: a .json or .yaml "
        "file.",
        in_quotes(name), fmt::join(superglue_tasks(), ", "));
  }
  if (options.data.empty()) {
    return usage_error(
        "{} is a task of SuperGLUE: --data must name the folder of its files, as published "
        "(BoolQ/val.jsonl and so on).",
        name);
  }
  FATHOM_TRY(ChoiceTask task, read_superglue(name, options.data, options.shots));
  return task;
}

Result<std::vector<Task>> read_tasks(const TaskOptions& options) {
  std::vector<std::string> names;
  for (const std::string& name : options.tasks) {
    if (name != "superglue") {
      names.push_back(name);
      continue;
    }
    for (const std::string_view task : superglue_tasks()) names.emplace_back(task);
  }
  std::vector<Task> tasks;
  tasks.reserve(names.size());
  for (const std::string& name : names) {
    FATHOM_TRY(Task read, read_one_task(name, options));
    tasks.push_back(std::move(read));
    std::visit(
        [&](auto& task) {
          if (options.limit > 0 && std::ssize(task.questions) > options.limit) {
            task.questions.resize(static_cast<size_t>(options.limit));
          }
        },
        tasks.back());
  }
  return tasks;
}

Json task_json(const TaskAnswers& answers, const std::vector<Measured>& measured) {
  const ChoiceTask& task = answers.task;
  Json json = {{"task", task.name}, {"questions", task.questions.size()}};
  json["score"] = task_score(task, measured);
  json["metrics"] = Json::object();
  for (const Measured& metric : measured) {
    json["metrics"][metric.name] = {
        {"value", metric.value}, {"low", metric.low}, {"high", metric.high}};
  }
  json["answers"] = Json::array();
  for (size_t i = 0; i < answers.outcomes.size(); ++i) {
    if (!answers.given.empty()) {
      const std::pair one(&task.questions[i], &answers.outcomes[i]);
      json["answers"].push_back({{"answer", answers.given[i]},
                                 {"accepted", task.questions[i].accepted},
                                 {"correct", word_match(std::span(&one, 1)) == 1},
                                 {"f1", word_f1(std::span(&one, 1))}});
      continue;
    }
    json["answers"].push_back({{"chosen", answers.outcomes[i].chosen},
                               {"right", task.questions[i].right},
                               {"loglikelihoods", answers.outcomes[i].loglikelihoods}});
  }
  return json;
}

Result<Asked> find_answerer(const TaskOptions& options) {
  if (options.remote.url.empty()) {
    FATHOM_TRY(const Model model, load_model(options.model));
    FATHOM_TRY(auto key, key_of(model, options.model.adapter));
    const std::string name = key.model;
    return Asked{.name = name, .key = std::move(key), .answerer = make_answerer(model)};
  }
  RemoteOptions remote = options.remote;
  remote.model = options.model.model;
  FATHOM_TRY(auto server, RemoteServer::connect(remote));
  return Asked{.name = server->model(),
               .key = {.model = server->model(), .identity = server->url()},
               .answerer = make_answerer(std::move(server))};
}

// One task from its questions to its numbers, kept as it goes.
Result<std::pair<TaskAnswers, std::vector<Measured>>> run_task(const TaskOptions& options,
                                                               Asked& asked,
                                                               EvaluationResults* results,
                                                               const Task& task) {
  int64_t run = 0;
  if (results != nullptr) {
    EvaluationKey key = asked.key;
    key.task = std::visit([](const auto& one) { return one.name; }, task);
    key.settings = Json({{"questions", fingerprint(task)},
                         {"kernels", options.model.kernels},
                         {"calibration", !options.model.no_calibration}})
                       .dump();
    FATHOM_TRY(run, results->begin(key));
  }
  FATHOM_TRY(TaskAnswers answers, answer_task(results, run, *asked.answerer, task));
  auto measured = measure(answers.task, answers.outcomes);
  if (results != nullptr) {
    std::vector<StoredMetric> metrics = {
        {.name = "score", .value = task_score(answers.task, measured)}};
    for (const Measured& metric : measured) {
      metrics.push_back({metric.name, metric.value, metric.low, metric.high});
    }
    FATHOM_CHECK(results->finish(run, std::ssize(answers.outcomes), metrics));
  }
  return std::pair(std::move(answers), std::move(measured));
}

Status validate(const TaskOptions& options) {
  FATHOM_CHECK(cli::validate(options.model));
  if (options.shots < 0 || options.limit < 0) {
    return usage_error("--shots and --limit must not be negative.");
  }
  if (options.remote.url.empty() && !options.remote.api_key.empty()) {
    return usage_error("--api-key is for a server that --url names.");
  }
  return {};
}

Result<int> run_tasks(const TaskOptions& options) {
  FATHOM_CHECK(validate(options));
  FATHOM_TRY(const auto tasks, read_tasks(options));
  FATHOM_TRY(Asked asked, find_answerer(options));
  FATHOM_TRY(auto kept, open_results(options.results));
  Json results = {{"model", asked.name}, {"shots", options.shots}, {"tasks", Json::array()}};
  double total = 0;
  if (!options.json) {
    print(fmt::format("{:<12} {:>9}  {:<9} {:>7}  95% of samples\n", "task", "questions", "metric",
                      "value"));
  }
  for (const Task& task : tasks) {
    FATHOM_TRY(const auto done, run_task(options, asked, kept ? &*kept : nullptr, task));
    const auto& [answers, measured] = done;
    total += task_score(answers.task, measured);
    results["tasks"].push_back(task_json(answers, measured));
    if (options.json) continue;
    for (const Measured& metric : measured) {
      print(fmt::format("{:<12} {:>9}  {:<9} {:>7.4f}  {:.4f} to {:.4f}\n", answers.task.name,
                        answers.outcomes.size(), metric.name, metric.value, metric.low,
                        metric.high));
    }
  }
  results["score"] = total / static_cast<double>(std::max<size_t>(tasks.size(), 1));
  if (!options.json && tasks.size() > 1) {
    print(fmt::format("{:<12} {:>9}  {:<9} {:>7.4f}\n", "all", "", "score",
                      results["score"].get<double>()));
  }
  const std::string text = results.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  if (options.json) print(text);
  if (!options.output.empty()) FATHOM_CHECK(write_output_file(options.output, text));
  return 0;
}

}  // namespace

void add_eval_task(CLI::App& eval, Chosen& chosen) {
  auto* command =
      eval.add_subcommand("task", "questions with a few possible answers each, or open ones");
  auto options = std::make_shared<TaskOptions>();
  command
      ->add_option("tasks", options->tasks,
                   fmt::format("superglue for all of {}; any of them; or a .json or .yaml file "
                               "that describes a task of your own",
                               fmt::join(superglue_tasks(), ", ")))
      ->required()
      ->type_name("TASK...");
  add_model_option(*command, options->model);
  add_adapter_option(*command, options->model);
  command->add_option("--data", options->data, "the folder of SuperGLUE's files, as published")
      ->type_name("DIRECTORY");
  command
      ->add_option("--shots", options->shots,
                   "answered examples before each question, the first of the training file")
      ->type_name("K");
  command->add_option("--limit", options->limit, "only the first N questions of each task")
      ->type_name("N");
  command
      ->add_option("-o,--output", options->output,
                   "also write all results to a file, for fathom eval compare")
      ->type_name("FILE");
  add_remote_options(*command, options->remote);
  add_results_options(*command, options->results);
  add_calibration_option(*command, options->model);
  add_compute_options(*command, options->model);
  add_packed_cache_options(*command, options->model);
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "Examples:\n"
      "  fathom eval task superglue --data SuperGLUE -m model.gguf\n"
      "  fathom eval task capitals.json -m model.gguf -o capitals-model.json\n"
      "  fathom eval task capitals.json --url http://127.0.0.1:8080 -m name\n"
      "A run that was interrupted goes on where it stopped: give the same command again.");
  command->callback(
      [&chosen, options] { chosen.action = [options] { return run_tasks(*options); }; });
}

}  // namespace fathom::cli
