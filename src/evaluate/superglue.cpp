#include "evaluate/superglue.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/quote.h"
#include "evaluate/jsonl.h"

namespace fathom {
namespace {

using Json = nlohmann::json;
using Questions = std::vector<ChoiceQuestion>;
using Reader = Status (*)(const JsonLine& line, Questions& questions);

std::string strip(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\r\f\v";
  const size_t from = text.find_first_not_of(kSpaces);
  if (from == std::string_view::npos) return {};
  return std::string(text.substr(from, text.find_last_not_of(kSpaces) - from + 1));
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// Positions in the official files count characters; ours count bytes.
Result<std::string> characters(const JsonLine& line, const std::string& text, int64_t from,
                               int64_t to) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) starts.push_back(i);
  }
  starts.push_back(text.size());
  if (from < 0 || to < from || to >= std::ssize(starts)) {
    return fail("{}: the characters {} to {} are not in its text.", line.where(), from, to);
  }
  return text.substr(starts[static_cast<size_t>(from)],
                     starts[static_cast<size_t>(to)] - starts[static_cast<size_t>(from)]);
}

// The index of a label's text among `labels`.
Result<int64_t> label_of(const JsonLine& line, std::initializer_list<std::string_view> labels) {
  FATHOM_TRY(const std::string label, line.text("label"));
  const auto* found = std::ranges::find(labels, label);
  if (found != labels.end()) return found - labels.begin();
  return fail("{}: there is no label {}.", line.where(), in_quotes(label));
}

Status read_boolq(const JsonLine& line, Questions& questions) {
  FATHOM_TRY(const std::string passage, line.text("passage"));
  FATHOM_TRY(const std::string question, line.text("question"));
  FATHOM_TRY(const bool label, line.boolean("label"));
  questions.push_back({.context = fmt::format("{}\nQuestion: {}?\nAnswer:", passage, question),
                       .choices = {" no", " yes"},
                       .right = label ? 1 : 0});
  return {};
}

Status read_cb(const JsonLine& line, Questions& questions) {
  FATHOM_TRY(const std::string premise, line.text("premise"));
  FATHOM_TRY(const std::string hypothesis, line.text("hypothesis"));
  FATHOM_TRY(const int64_t right, label_of(line, {"entailment", "contradiction", "neutral"}));
  questions.push_back({.context = fmt::format("{}\nQuestion: {}. True, False, or Neither?\nAnswer:",
                                              premise, hypothesis),
                       .choices = {" True", " False", " Neither"},
                       .right = right});
  return {};
}

Status read_copa(const JsonLine& line, Questions& questions) {
  FATHOM_TRY(const std::string premise, line.text("premise"));
  FATHOM_TRY(const std::string kind, line.text("question"));
  if (kind != "cause" && kind != "effect") {
    return fail("{}: question must be cause or effect.", line.where());
  }
  std::string start = strip(premise);
  if (!start.empty()) start.pop_back();  // the period
  ChoiceQuestion question{.context = start + (kind == "cause" ? " because" : " therefore"),
                          .choices = {}};
  for (const char* name : {"choice1", "choice2"}) {
    FATHOM_TRY(std::string choice, line.text(name));
    if (!choice.empty() && choice[0] >= 'A' && choice[0] <= 'Z') choice[0] += 'a' - 'A';
    // The harness joins with a space what begins with one.
    question.choices.push_back("  " + choice);
  }
  FATHOM_TRY(const bool label, line.boolean("label"));
  question.right = label ? 1 : 0;
  questions.push_back(std::move(question));
  return {};
}

Status read_multirc(const JsonLine& line, Questions& questions) {
  FATHOM_TRY(const std::string paragraph, line.text("passage.text"));
  FATHOM_TRY(const Json* list, line.array("passage.questions"));
  for (const Json& entry : *list) {
    const JsonLine asked = line.inner(entry);
    FATHOM_TRY(const std::string question, asked.text("question"));
    FATHOM_TRY(const Json* answers, asked.array("answers"));
    const std::string group = fmt::format("{}/{}", line.where(), questions.size());
    for (const Json& given : *answers) {
      const JsonLine answer = line.inner(given);
      FATHOM_TRY(const std::string text, answer.text("text"));
      FATHOM_TRY(const bool label, answer.boolean("label"));
      questions.push_back({.context = fmt::format("{}\nQuestion: {}\nAnswer:", paragraph, question),
                           .choices = {fmt::format(" {}\nIs the answer correct? yes", text),
                                       fmt::format(" {}\nIs the answer correct? no", text)},
                           .right = label ? 1 : 0,
                           .group = group});
    }
  }
  return {};
}

Status read_record(const JsonLine& line, Questions& questions) {
  FATHOM_TRY(const std::string text, line.text("passage.text"));
  FATHOM_TRY(const Json* spans, line.array("passage.entities"));
  std::set<std::string> entities;
  for (const Json& entry : *spans) {
    const JsonLine span = line.inner(entry);
    FATHOM_TRY(const int64_t start, span.integer("start"));
    FATHOM_TRY(const int64_t end, span.integer("end"));
    FATHOM_TRY(auto entity, characters(line, text, start, end + 1));
    entities.insert(std::move(entity));
  }
  std::string context = strip(text);
  constexpr std::string_view kHighlight = "\n@highlight\n";
  const size_t first = context.find(kHighlight);
  std::string highlights = first == std::string::npos ? "" : context.substr(first);
  context.resize(std::min(first, context.size()));
  context += "\n\n";
  while (!highlights.empty()) {
    highlights.erase(0, kHighlight.size());
    const size_t end = std::min(highlights.find(kHighlight), highlights.size());
    context += fmt::format("  - {}.\n", highlights.substr(0, end));
    highlights.erase(0, end);
  }
  FATHOM_TRY(const Json* list, line.array("qas"));
  for (const Json& entry : *list) {
    const JsonLine asked = line.inner(entry);
    FATHOM_TRY(const std::string query, asked.text("query"));
    FATHOM_TRY(const Json* answers, asked.array("answers"));
    ChoiceQuestion question{.context = context, .choices = {}};
    question.names.assign(entities.begin(), entities.end());
    std::set<std::string> accepted;
    for (const Json& given : *answers) {
      FATHOM_TRY(auto answer, line.inner(given).text("text"));
      accepted.insert(std::move(answer));
    }
    question.accepted.assign(accepted.begin(), accepted.end());
    for (const std::string& name : question.names) {
      std::string choice = "   - " + query;
      replace_all(choice, "@placeholder", name);
      question.choices.push_back(std::move(choice));
    }
    if (question.choices.empty() || question.accepted.empty()) {
      return fail("{}: a question has no entities or no answers.", line.where());
    }
    const auto right = std::ranges::find(question.names, question.accepted.front());
    question.right = right == question.names.end() ? 0 : right - question.names.begin();
    questions.push_back(std::move(question));
  }
  return {};
}

Status read_rte(const JsonLine& line, Questions& questions) {
  FATHOM_TRY(const std::string premise, line.text("premise"));
  FATHOM_TRY(const std::string hypothesis, line.text("hypothesis"));
  FATHOM_TRY(const int64_t right, label_of(line, {"entailment", "not_entailment"}));
  questions.push_back(
      {.context = fmt::format("{}\nQuestion: {} True or False?\nAnswer:", premise, hypothesis),
       .choices = {" True", " False"},
       .right = right});
  return {};
}

Status read_wic(const JsonLine& line, Questions& questions) {
  FATHOM_TRY(const std::string first, line.text("sentence1"));
  FATHOM_TRY(const std::string second, line.text("sentence2"));
  FATHOM_TRY(const int64_t start, line.integer("start1"));
  FATHOM_TRY(const int64_t end, line.integer("end1"));
  FATHOM_TRY(const std::string word, characters(line, first, start, end));
  FATHOM_TRY(const bool label, line.boolean("label"));
  questions.push_back(
      {.context = fmt::format("Sentence 1: {}\nSentence 2: {}\nQuestion: Is the word '{}' used in "
                              "the same way in the two sentences above?\nAnswer:",
                              first, second, word),
       .choices = {" no", " yes"},
       .right = label ? 1 : 0});
  return {};
}

// The harness's rules for text that was cut into words.
void join_words(std::string& text) {
  for (const auto& [from, to] : {std::pair(" n't", "n't"),
                                 {" )", ")"},
                                 {"( ", "("},
                                 {"\" ", "\""},
                                 {" \"", "\""},
                                 {" '", "'"},
                                 {" .", "."},
                                 {" ,", ","}}) {
    replace_all(text, from, to);
  }
}

Status read_wsc(const JsonLine& line, Questions& questions) {
  FATHOM_TRY(const std::string text, line.text("text"));
  FATHOM_TRY(const std::string noun, line.text("target.span1_text"));
  FATHOM_TRY(const std::string pronoun, line.text("target.span2_text"));
  FATHOM_TRY(const int64_t index, line.integer("target.span2_index"));
  FATHOM_TRY(const bool label, line.boolean("label"));
  // What stands before the pronoun, its words joined by single spaces.
  std::string before;
  size_t at = 0;
  constexpr std::string_view kSpaces = " \t\n\r\f\v";
  for (int64_t i = 0; i < index; ++i) {
    const size_t from = text.find_first_not_of(kSpaces, at);
    if (from == std::string::npos) {
      return fail("{}: it has no word of number {}.", line.where(), index);
    }
    at = std::min(text.find_first_of(kSpaces, from), text.size());
    before += (i == 0 ? "" : " ") + text.substr(from, at - from);
  }
  const size_t rest = std::min(before.size() + pronoun.size() + 1, text.size());
  std::string passage = fmt::format("{} *{}*{}", before, pronoun, text.substr(rest));
  join_words(passage);
  questions.push_back(
      {.context = fmt::format("Passage: {}\nQuestion: In the passage above, does the pronoun "
                              "\"*{}*\" refer to \"*{}*\"?\nAnswer:",
                              passage, pronoun, noun),
       .choices = {" no", " yes"},
       .right = label ? 1 : 0});
  return {};
}

// The first choice of MultiRC is "yes", and `right` is 1 for an answer that is.
bool says_yes(const ChoiceOutcome& outcome) {
  return outcome.chosen == 0;
}
bool is_right_answer(const ChoiceQuestion& question) {
  return question.right == 1;
}

double f1_over_answers(std::span<const Answered> answered) {
  double both = 0;
  double either = 0;
  for (const auto& [question, outcome] : answered) {
    const bool yes = says_yes(*outcome);
    const bool right = is_right_answer(*question);
    both += yes && right ? 1 : 0;
    either += (yes ? 1 : 0) + (right ? 1 : 0);
  }
  return either > 0 ? 2 * both / either : 0;
}

// A question's answers follow each other; one that was drawn twice begins again.
double all_answers_right(std::span<const Answered> answered) {
  double groups = 0;
  double right = 0;
  for (size_t i = 0; i < answered.size();) {
    bool fine = true;
    const size_t first = i;
    for (; i < answered.size(); ++i) {
      const auto& [question, outcome] = answered[i];
      const bool begins = i > first && (question->group != answered[first].first->group ||
                                        question <= answered[i - 1].first);
      if (begins) break;
      fine = fine && says_yes(*outcome) == is_right_answer(*question);
    }
    ++groups;
    right += fine ? 1 : 0;
  }
  return groups > 0 ? right / groups : 0;
}

double three_class_f1(std::span<const Answered> answered) {
  return macro_f1(answered, 3);
}

struct Task {
  std::string_view name;
  std::string_view folder;
  Reader read;
};

constexpr std::array<Task, 8> kTasks = {{{"boolq", "BoolQ", read_boolq},
                                         {"cb", "CB", read_cb},
                                         {"copa", "COPA", read_copa},
                                         {"multirc", "MultiRC", read_multirc},
                                         {"record", "ReCoRD", read_record},
                                         {"rte", "RTE", read_rte},
                                         {"wic", "WiC", read_wic},
                                         {"wsc", "WSC", read_wsc}}};

void add_metrics(ChoiceTask& task) {
  if (task.name == "record") {
    task.metrics = {{"f1", word_f1}, {"em", word_match}};
    task.scored_by = {"f1", "em"};
    return;
  }
  task.metrics = {{"acc", accuracy}};
  if (task.name == "cb") {
    task.metrics.push_back({"f1", three_class_f1});
    task.scored_by = {"acc", "f1"};
  }
  if (task.name == "multirc") {
    task.metrics.push_back({"f1a", f1_over_answers});
    task.metrics.push_back({"em", all_answers_right});
    task.scored_by = {"f1a", "em"};
  }
}

Result<Questions> read_questions(const Task& task, const std::filesystem::path& file) {
  FATHOM_TRY(const auto lines, read_jsonl(file));
  Questions questions;
  for (const JsonLine& line : lines) FATHOM_CHECK(task.read(line, questions));
  return questions;
}

// Examples in front of each question, the harness's way: answered, and parted by an empty line.
Result<std::string> read_examples(const Task& task, const std::filesystem::path& file,
                                  int64_t shots) {
  FATHOM_TRY(const Questions examples, read_questions(task, file));
  if (std::ssize(examples) < shots) {
    return fail("{} has {} examples; {} were asked for.", file.string(), examples.size(), shots);
  }
  std::string text;
  for (int64_t i = 0; i < shots; ++i) {
    const ChoiceQuestion& example = examples[static_cast<size_t>(i)];
    text += example.context + example.choices[static_cast<size_t>(example.right)] + "\n\n";
  }
  return text;
}

}  // namespace

std::span<const std::string_view> superglue_tasks() {
  static constexpr auto kNames = [] {
    std::array<std::string_view, kTasks.size()> names;
    for (size_t i = 0; i < names.size(); ++i) names[i] = kTasks[i].name;
    return names;
  }();
  return kNames;
}

Result<ChoiceTask> read_superglue(std::string_view name, const std::filesystem::path& directory,
                                  int64_t shots) {
  const auto* task = std::ranges::find(kTasks, name, &Task::name);
  if (task == kTasks.end()) {
    return usage_error("There is no task {}; there are {}.", in_quotes(name),
                       fmt::join(superglue_tasks(), ", "));
  }
  const auto folder = directory / task->folder;
  ChoiceTask read{.name = std::string(name), .questions = {}, .metrics = {}};
  FATHOM_TRY(read.questions, read_questions(*task, folder / "val.jsonl"));
  add_metrics(read);
  if (shots > 0) {
    FATHOM_TRY(const std::string examples, read_examples(*task, folder / "train.jsonl", shots));
    for (ChoiceQuestion& question : read.questions) question.context.insert(0, examples);
  }
  return read;
}

}  // namespace fathom
