#include "cli/eval_task.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <variant>

#include "base/quote.h"
#include "cli/eval_results.h"
#include "cli/model_options.h"
#include "cli/output_file.h"
#include "cli/remote_answerer.h"
#include "cli/terminal.h"
#include "cli/work_progress.h"
#include "evaluate/answerer.h"
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
  std::string url;  // empty: a model here
  std::string api_key;
  int64_t concurrent = 16;
  ResultsOptions results;
  bool json = false;
};

using Task = std::variant<ChoiceTask, GenerationTask>;

// Who is asked, and as what its results are kept.
struct Asked {
  std::string name;
  EvaluationKey key;
  std::unique_ptr<Answerer> answerer;
};

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
      tasks.emplace_back(std::move(task));
    }
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

// FNV-1a over all that is asked: other questions are another run.
class Fingerprint {
 public:
  void add(std::string_view text) {
    for (const char c : text) step(static_cast<unsigned char>(c));
    step(0);
  }
  std::string text() const { return fmt::format("{:016x}", hash_); }

 private:
  void step(unsigned char byte) { hash_ = (hash_ ^ byte) * 0x100000001b3; }
  uint64_t hash_ = 0xcbf29ce484222325;
};

std::string fingerprint(const ChoiceTask& task) {
  Fingerprint print;
  for (const ChoiceQuestion& question : task.questions) {
    print.add(question.context);
    for (const std::string& choice : question.choices) print.add(choice);
    print.add(fmt::format("{}", question.right));
  }
  return print.text();
}

std::string fingerprint(const GenerationTask& task) {
  Fingerprint print;
  for (const auto& question : task.questions) {
    print.add(question.asked.prompt);
    print.add(fmt::format("{} {} {}", question.asked.chat, question.asked.max_tokens,
                          fmt::join(question.asked.stop, "\n")));
    for (const std::string& accepted : question.accepted) print.add(accepted);
  }
  return print.text();
}

// Answers come in portions, each of which is kept before the next is asked, so that an interrupted
// run loses no more than one.
constexpr size_t kPortion = 64;

// `ask(first, last, on_done)` returns an outcome for each of the questions; `key` is the whole
// run's.
template <class Ask>
Result<std::vector<Json>> answer(EvaluationResults* results, int64_t run, const std::string& name,
                                 size_t questions, const Ask& ask) {
  std::vector<Json> outcomes(questions);
  std::vector<char> known(questions, 0);
  if (results != nullptr) {
    FATHOM_TRY(const auto stored, results->answers(run));
    for (const StoredAnswer& one : stored) {
      Json outcome = Json::parse(one.outcome, nullptr, false);
      const auto at = static_cast<size_t>(one.question);
      if (at >= questions || outcome.is_discarded()) continue;
      outcomes[at] = std::move(outcome);
      known[at] = 1;
    }
    const auto before = std::ranges::count(known, 1);
    if (before > 0) {
      note(fmt::format("fathom: {}: goes on after {} of {} questions.\n", name, before, questions));
    }
  }
  const InterruptScope interrupt;
  WorkProgress progress(name);
  std::vector<size_t> open;
  for (size_t i = 0; i < questions; ++i) {
    if (known[i] == 0) open.push_back(i);
  }
  for (size_t first = 0; first < open.size(); first += kPortion) {
    const auto portion = std::span(open).subspan(first, std::min(kPortion, open.size() - first));
    const auto on_part = [&](double part) {
      const double done = static_cast<double>(questions - open.size() + first) +
                          part * static_cast<double>(portion.size());
      progress.show(done / static_cast<double>(questions));
      return !interrupt.requested();
    };
    FATHOM_TRY(std::vector<Json> found, ask(portion, on_part));
    std::vector<StoredAnswer> stored;
    stored.reserve(portion.size());
    for (size_t i = 0; i < portion.size(); ++i) {
      stored.push_back({static_cast<int64_t>(portion[i]),
                        found[i].dump(-1, ' ', false, Json::error_handler_t::replace)});
      outcomes[portion[i]] = std::move(found[i]);
    }
    if (results != nullptr) FATHOM_CHECK(results->add(run, stored));
  }
  return outcomes;
}

// A task with all its outcomes: choices as they were made, or generated answers as counted.
struct Answers {
  ChoiceTask task;
  std::vector<ChoiceOutcome> outcomes;
  std::vector<std::string> given;  // of a generation task
};

Result<Answers> answer(EvaluationResults* results, int64_t run, Answerer& answerer,
                       const ChoiceTask& task) {
  FATHOM_TRY(
      const auto outcomes,
      answer(
          results, run, task.name, task.questions.size(),
          [&](std::span<const size_t> portion, const auto& on_part) -> Result<std::vector<Json>> {
            std::vector<Continuation> asked;
            for (const size_t i : portion) {
              const ChoiceQuestion& question = task.questions[i];
              for (const std::string& choice : question.choices) {
                asked.push_back({.context = question.context, .text = choice});
              }
            }
            FATHOM_TRY(const auto scores, answerer.loglikelihoods(asked, [&](size_t done) {
              return on_part(static_cast<double>(done) / static_cast<double>(asked.size()));
            }));
            std::vector<Json> found;
            found.reserve(portion.size());
            auto next = scores.begin();
            for (const size_t i : portion) {
              const auto end = next + std::ssize(task.questions[i].choices);
              found.emplace_back(std::vector<double>(next, end));
              next = end;
            }
            return found;
          }));
  Answers answers{.task = task, .outcomes = {}, .given = {}};
  answers.outcomes.reserve(outcomes.size());
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const ChoiceQuestion& question = task.questions[i];
    const bool fine = outcomes[i].is_array() && outcomes[i].size() == question.choices.size() &&
                      std::ranges::all_of(outcomes[i], [](const Json& x) { return x.is_number(); });
    if (!fine) return fail("What is kept of the task {} is damaged.", task.name);
    answers.outcomes.push_back(judge(question, outcomes[i].get<std::vector<double>>()));
  }
  return answers;
}

Result<Answers> answer(EvaluationResults* results, int64_t run, Answerer& answerer,
                       const GenerationTask& task) {
  FATHOM_TRY(
      const auto outcomes,
      answer(
          results, run, task.name, task.questions.size(),
          [&](std::span<const size_t> portion, const auto& on_part) -> Result<std::vector<Json>> {
            std::vector<OpenQuestion> asked;
            asked.reserve(portion.size());
            for (const size_t i : portion) asked.push_back(task.questions[i].asked);
            FATHOM_TRY(const auto texts, answerer.generate(asked, [&](size_t done) {
              return on_part(static_cast<double>(done) / static_cast<double>(asked.size()));
            }));
            return std::vector<Json>(texts.begin(), texts.end());
          }));
  std::vector<std::string> given;
  given.reserve(outcomes.size());
  for (const Json& outcome : outcomes) {
    if (!outcome.is_string()) return fail("What is kept of the task {} is damaged.", task.name);
    given.push_back(outcome.get<std::string>());
  }
  CountedAnswers counted = count_answers(task, given);
  return Answers{.task = std::move(counted.task),
                 .outcomes = std::move(counted.outcomes),
                 .given = std::move(given)};
}

Json task_json(const Answers& answers, const std::vector<Measured>& measured) {
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
  if (options.url.empty()) {
    FATHOM_TRY(const Model model, load_model(options.model));
    return Asked{.name = model.info().name, .key = key_of(model), .answerer = make_answerer(model)};
  }
  RemoteOptions remote{.url = options.url,
                       .model = options.model.model,
                       .api_key = options.api_key,
                       .concurrent = options.concurrent};
  if (remote.api_key.empty()) {
    if (const char* key = std::getenv("OPENAI_API_KEY"); key != nullptr) remote.api_key = key;
  }
  FATHOM_TRY(RemoteServer server, connect(remote));
  return Asked{.name = server.model,
               .key = {.model = server.model, .identity = server.url},
               .answerer = std::move(server.answerer)};
}

// One task from its questions to its numbers, kept as it goes.
Result<std::pair<Answers, std::vector<Measured>>> run_task(const TaskOptions& options, Asked& asked,
                                                           EvaluationResults* results,
                                                           const Task& task) {
  int64_t run = 0;
  if (results != nullptr) {
    EvaluationKey key = asked.key;
    key.task = std::visit([](const auto& one) { return one.name; }, task);
    key.settings =
        Json({{"questions", std::visit([](const auto& one) { return fingerprint(one); }, task)},
              {"kernels", options.model.kernels},
              {"calibration", !options.model.no_calibration}})
            .dump();
    FATHOM_TRY(run, results->begin(key));
  }
  FATHOM_TRY(Answers answers,
             std::visit([&](const auto& one) { return answer(results, run, *asked.answerer, one); },
                        task));
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
  if (options.url.empty() && !options.api_key.empty()) {
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
      ->add_option(
          "tasks", options->tasks,
          fmt::format("superglue for all of {}; any of them; or a .json file that describes "
                      "a task of your own",
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
  command
      ->add_option("--url", options->url,
                   "ask a server that speaks OpenAI's API, and there the model that -m names")
      ->type_name("URL");
  command->add_option("--api-key", options->api_key, "or the environment's OPENAI_API_KEY")
      ->type_name("KEY");
  command->add_option("--concurrent", options->concurrent, "requests under way at a time (16)")
      ->type_name("N");
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
