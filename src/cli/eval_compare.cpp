// fathom eval compare: two runs of fathom eval task, question by question.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "cli/comparison_page.h"
#include "cli/eval_task.h"
#include "cli/input_file.h"
#include "cli/output_file.h"
#include "cli/terminal.h"
#include "evaluate/comparison.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

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
      if (given.is_object() && given.contains("correct") && given["correct"].is_boolean()) {
        right.push_back(given["correct"] ? 1 : 0);
        continue;
      }
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
  std::string html;
  bool json = false;
};

Result<int> compare_answers(const CompareOptions& options) {
  FATHOM_TRY(const Answers a, read_answers(options.a));
  FATHOM_TRY(const Answers b, read_answers(options.b));
  Json rows = Json::array();
  // One model's files often have one name inside, whatever became of its weights.
  const bool same = a.model == b.model;
  const std::string name_a = same ? fmt::format("{} ({})", a.model, options.a) : a.model;
  const std::string name_b = same ? fmt::format("{} ({})", b.model, options.b) : b.model;
  ComparisonPage page{.a = name_a, .b = name_b, .rows = {}};
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
    page.rows.push_back({name, result});
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
  if (!options.html.empty()) {
    const bool picture = options.html.ends_with(".svg");
    FATHOM_CHECK(write_output_file(options.html, picture ? draw_svg(page) : draw_html(page)));
  }
  if (options.json) {
    print(Json{{"a", name_a}, {"b", name_b}, {"tasks", rows}}.dump(2, ' ', false,
                                                                   Json::error_handler_t::replace) +
          "\n");
  } else {
    print(fmt::format("A: {}\nB: {}\n{}", name_a, name_b, table));
  }
  return 0;
}

}  // namespace

void add_eval_compare(CLI::App& eval, Chosen& chosen) {
  auto* command = eval.add_subcommand("compare", "two models on the same questions");
  auto options = std::make_shared<CompareOptions>();
  command->add_option("a", options->a, "what fathom eval task -o wrote for one model")
      ->required()
      ->type_name("A.json");
  command->add_option("b", options->b, "and for the other")->required()->type_name("B.json");
  command
      ->add_option("--html", options->html,
                   "also draw it: a page that stands alone, or with a name that ends in .svg the "
                   "picture alone")
      ->type_name("FILE");
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "p is McNemar's exact test: how often a difference at least as large would come about if "
      "both\n"
      "models were equally good.");
  command->callback(
      [&chosen, options] { chosen.action = [options] { return compare_answers(*options); }; });
}

}  // namespace fathom::cli
