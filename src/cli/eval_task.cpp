#include "cli/eval_task.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/quote.h"
#include "cli/input_file.h"
#include "cli/model_options.h"
#include "cli/output_file.h"
#include "cli/terminal.h"
#include "cli/work_progress.h"
#include "evaluate/comparison.h"
#include "evaluate/likelihood.h"
#include "evaluate/superglue.h"
#include "evaluate/task_file.h"

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
  bool json = false;
};

Result<std::vector<ChoiceTask>> read_tasks(const TaskOptions& options) {
  std::vector<std::string> names;
  for (const std::string& name : options.tasks) {
    if (name != "superglue") {
      names.push_back(name);
      continue;
    }
    for (const std::string_view task : superglue_tasks()) names.emplace_back(task);
  }
  std::vector<ChoiceTask> tasks;
  for (const std::string& name : names) {
    if (name.ends_with(".json")) {
      FATHOM_TRY(auto task, read_task_file(name));
      tasks.push_back(std::move(task));
    } else if (options.data.empty()) {
      return usage_error(
          "{} is a task of SuperGLUE: --data must name the folder of its files, as "
          "published (BoolQ/val.jsonl and so on). A task of your own is a .json file.",
          name);
    } else {
      FATHOM_TRY(auto task, read_superglue(name, options.data, options.shots));
      tasks.push_back(std::move(task));
    }
    ChoiceTask& task = tasks.back();
    if (options.limit > 0 && std::ssize(task.questions) > options.limit) {
      task.questions.resize(static_cast<size_t>(options.limit));
    }
  }
  return tasks;
}

Result<std::vector<ChoiceOutcome>> answer(const Model& model, const ChoiceTask& task) {
  std::vector<Continuation> continuations;
  for (const ChoiceQuestion& question : task.questions) {
    for (const std::string& choice : question.choices) {
      continuations.push_back({.context = question.context, .text = choice});
    }
  }
  const InterruptScope interrupt;
  WorkProgress progress(task.name);
  FATHOM_TRY(const auto scores, loglikelihoods(model, continuations, [&](size_t done) {
               progress.show(static_cast<double>(done) / static_cast<double>(continuations.size()));
               return !interrupt.requested();
             }));
  std::vector<ChoiceOutcome> outcomes;
  auto next = scores.begin();
  for (const ChoiceQuestion& question : task.questions) {
    const auto end = next + std::ssize(question.choices);
    outcomes.push_back(judge(question, std::vector<double>(next, end)));
    next = end;
  }
  return outcomes;
}

Json task_json(const ChoiceTask& task, const std::vector<Measured>& measured,
               const std::vector<ChoiceOutcome>& outcomes) {
  Json json = {{"task", task.name}, {"questions", task.questions.size()}};
  json["score"] = task_score(task, measured);
  json["metrics"] = Json::object();
  for (const Measured& metric : measured) {
    json["metrics"][metric.name] = {
        {"value", metric.value}, {"low", metric.low}, {"high", metric.high}};
  }
  json["answers"] = Json::array();
  for (size_t i = 0; i < outcomes.size(); ++i) {
    json["answers"].push_back({{"chosen", outcomes[i].chosen},
                               {"right", task.questions[i].right},
                               {"loglikelihoods", outcomes[i].loglikelihoods}});
  }
  return json;
}

Result<int> run_tasks(const TaskOptions& options) {
  FATHOM_CHECK(validate(options.model));
  if (options.shots < 0 || options.limit < 0) {
    return usage_error("--shots and --limit must not be negative.");
  }
  FATHOM_TRY(const auto tasks, read_tasks(options));
  FATHOM_TRY(const Model model, load_model(options.model));
  Json results = {{"model", model.info().name}, {"shots", options.shots}, {"tasks", Json::array()}};
  double total = 0;
  if (!options.json) {
    print(fmt::format("{:<12} {:>9}  {:<9} {:>7}  95% of samples\n", "task", "questions", "metric",
                      "value"));
  }
  for (const ChoiceTask& task : tasks) {
    FATHOM_TRY(const auto outcomes, answer(model, task));
    const auto measured = measure(task, outcomes);
    total += task_score(task, measured);
    results["tasks"].push_back(task_json(task, measured, outcomes));
    if (options.json) continue;
    for (const Measured& metric : measured) {
      print(fmt::format("{:<12} {:>9}  {:<9} {:>7.4f}  {:.4f} to {:.4f}\n", task.name,
                        task.questions.size(), metric.name, metric.value, metric.low, metric.high));
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

// What was answered right in a file that `eval task` wrote, task by task.
struct Answers {
  std::string model;
  std::vector<std::pair<std::string, std::vector<char>>> tasks;
};

Result<Answers> read_answers(const std::string& path) {
  FATHOM_TRY(const std::string text, read_input_file(path));
  FATHOM_TRY(const auto json,
             parse_json(text, path, {.bytes = size_t{1} << 30, .values = 100'000'000}));
  const auto broken = [&] {
    return fail("{} is no file that fathom eval task --output wrote.", path);
  };
  if (!json.is_object() || !json.contains("tasks") || !json["tasks"].is_array()) return broken();
  Answers answers;
  if (json.contains("model") && json["model"].is_string()) answers.model = json["model"];
  for (const auto& task : json["tasks"]) {
    const bool fine = task.is_object() && task.contains("task") && task["task"].is_string() &&
                      task.contains("answers") && task["answers"].is_array();
    if (!fine) return broken();
    std::vector<char> right;
    for (const auto& given : task["answers"]) {
      if (!given.is_object() || !given.contains("chosen") || !given.contains("right")) {
        return broken();
      }
      right.push_back(given["chosen"] == given["right"] ? 1 : 0);
    }
    answers.tasks.emplace_back(task["task"], std::move(right));
  }
  return answers;
}

struct CompareOptions {
  std::string a;
  std::string b;
  bool json = false;
};

Result<int> compare_answers(const CompareOptions& options) {
  FATHOM_TRY(const Answers a, read_answers(options.a));
  FATHOM_TRY(const Answers b, read_answers(options.b));
  Json rows = Json::array();
  std::string table = fmt::format("{:<12} {:>9} {:>8} {:>8} {:>10}  {:<20} {:>7} {:>7} {:>9}\n",
                                  "task", "questions", "A right", "B right", "B - A",
                                  "95% of samples", "only A", "only B", "p");
  for (const auto& [name, right_a] : a.tasks) {
    const auto other =
        std::ranges::find(b.tasks, name, [](const auto& task) { return task.first; });
    if (other == b.tasks.end()) continue;
    const auto& right_b = other->second;
    if (right_a.size() != right_b.size()) {
      return fail("The task {} has {} questions in {} and {} in {}: they cannot be paired.", name,
                  right_a.size(), options.a, right_b.size(), options.b);
    }
    const Comparison result = compare(right_a, right_b);
    rows.push_back({{"task", name},
                    {"questions", result.questions},
                    {"a", result.a},
                    {"b", result.b},
                    {"difference", result.difference},
                    {"low", result.low},
                    {"high", result.high},
                    {"only_a", result.only_a},
                    {"only_b", result.only_b},
                    {"p_value", result.p_value}});
    table +=
        fmt::format("{:<12} {:>9} {:>7.2f}% {:>7.2f}% {:>+9.2f}%  {:<20} {:>7} {:>7} {:>9.4f}\n",
                    name, result.questions, 100 * result.a, 100 * result.b, 100 * result.difference,
                    fmt::format("{:+.2f}% to {:+.2f}%", 100 * result.low, 100 * result.high),
                    result.only_a, result.only_b, result.p_value);
  }
  if (rows.empty()) return fail("{} and {} have no task in common.", options.a, options.b);
  if (options.json) {
    print(Json{{"a", a.model}, {"b", b.model}, {"tasks", rows}}.dump(
              2, ' ', false, Json::error_handler_t::replace) +
          "\n");
  } else {
    print(fmt::format("A: {}\nB: {}\n{}", a.model, b.model, table));
  }
  return 0;
}

}  // namespace

void add_eval_task(CLI::App& eval, Chosen& chosen) {
  auto* command = eval.add_subcommand("task", "questions with a few possible answers each");
  auto options = std::make_shared<TaskOptions>();
  command
      ->add_option(
          "tasks", options->tasks,
          fmt::format("superglue for all of {}; any of them; or a .json file that describes "
                      "a task of your own",
                      fmt::join(superglue_tasks(), ", ")))
      ->required()
      ->type_name("TASK...");
  add_model_option(*command, options->model);
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
  add_calibration_option(*command, options->model);
  add_compute_options(*command, options->model);
  add_packed_cache_options(*command, options->model);
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "Examples:\n"
      "  fathom eval task superglue --data SuperGLUE -m model.gguf\n"
      "  fathom eval task capitals.json -m model.gguf -o capitals-model.json");
  command->callback(
      [&chosen, options] { chosen.action = [options] { return run_tasks(*options); }; });
}

void add_eval_compare(CLI::App& eval, Chosen& chosen) {
  auto* command = eval.add_subcommand("compare", "two models on the same questions");
  auto options = std::make_shared<CompareOptions>();
  command->add_option("a", options->a, "what fathom eval task -o wrote for one model")
      ->required()
      ->type_name("A.json");
  command->add_option("b", options->b, "and for the other")->required()->type_name("B.json");
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "p is McNemar's exact test: how often a difference at least as large would come about if "
      "both\n"
      "models were equally good.");
  command->callback(
      [&chosen, options] { chosen.action = [options] { return compare_answers(*options); }; });
}

}  // namespace fathom::cli
