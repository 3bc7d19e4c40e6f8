#include "evaluate/task_file.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <span>

#include "base/json.h"
#include "base/quote.h"
#include "evaluate/jsonl.h"

namespace fathom {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Result<std::string> fill(std::string_view prompt, const JsonLine& line) {
  std::string text;
  for (size_t i = 0; i < prompt.size(); ++i) {
    const char c = prompt[i];
    const bool doubled = i + 1 < prompt.size() && prompt[i + 1] == c;
    if ((c == '{' || c == '}') && doubled) {
      text += c;
      ++i;
    } else if (c == '{') {
      const size_t end = prompt.find('}', i);
      if (end == std::string_view::npos) {
        return fail("The prompt {} opens a brace that it does not close.", in_quotes(prompt));
      }
      FATHOM_TRY(const Json* value, line.find(prompt.substr(i + 1, end - i - 1)));
      text += text_of(*value);
      i = end;
    } else if (c == '}') {
      return fail("The prompt {} closes a brace that it did not open.", in_quotes(prompt));
    } else {
      text += c;
    }
  }
  return text;
}

// A question's answers, and what the right one may be called by besides its text and index.
struct Choices {
  std::vector<std::string> texts = {};
  std::vector<std::string> labels = {};  // as many
};

void add_texts(const Json& list, std::vector<std::string>& texts) {
  texts.reserve(texts.size() + list.size());
  for (const Json& text : list) texts.push_back(text_of(text));
}

// [{"text": ..., "label": ...}, ...] as ARC's own files have it, {"text": [...], "label": [...]} as
// it is distributed in, or an array of texts, whose labels are A, B, C and so on as in MMLU.
Result<Choices> choices_of(const Json& choices, const JsonLine& line) {
  const Json* given = &choices;
  if (choices.is_string()) {
    FATHOM_TRY(given, line.find(choices.get<std::string>()));
  }
  const auto wrong = [&](std::string_view what) {
    return fail("{}: {} {}.", line.where(),
                choices.is_string() ? choices.get<std::string>() : "choices", what);
  };
  const auto has = [](const Json& object, bool arrays) {
    return std::ranges::all_of(std::array{"text", "label"}, [&](const char* name) {
      const auto found = object.find(name);
      return found != object.end() && found->is_array() == arrays;
    });
  };
  Choices read;
  if (given->is_object()) {
    if (!has(*given, true) || given->at("text").size() != given->at("label").size()) {
      return wrong("must have as many texts (\"text\") as labels (\"label\")");
    }
    add_texts(given->at("text"), read.texts);
    add_texts(given->at("label"), read.labels);
  } else if (!given->is_array()) {
    return wrong("must be an array");
  } else if (!given->empty() && given->front().is_object()) {
    read.texts.reserve(given->size());
    read.labels.reserve(given->size());
    for (const Json& choice : *given) {
      if (!choice.is_object() || !has(choice, false)) {
        return wrong("must all have a \"text\" and a \"label\"");
      }
      read.texts.push_back(text_of(choice.at("text")));
      read.labels.push_back(text_of(choice.at("label")));
    }
  } else {
    add_texts(*given, read.texts);
    const size_t letters = std::min<size_t>(read.texts.size(), 26);
    read.labels.reserve(letters);
    for (size_t i = 0; i < letters; ++i) {
      read.labels.emplace_back(1, static_cast<char>('A' + static_cast<char>(i)));
    }
  }
  if (read.texts.size() < 2) return wrong("are too few: a question needs at least two answers");
  return read;
}

Result<int64_t> right_of(const std::string& member, const Choices& choices, const JsonLine& line) {
  FATHOM_TRY(const Json* value, line.find(member));
  if (value->is_number_integer()) {
    const auto index = value->get<int64_t>();
    if (index >= 0 && index < std::ssize(choices.texts)) return index;
    return fail("{}: {} is {}; there are the answers 0 to {}.", line.where(), member, index,
                choices.texts.size() - 1);
  }
  for (const auto* names : {&choices.texts, &choices.labels}) {
    const auto found = std::ranges::find(*names, text_of(*value));
    if (found != names->end()) return found - names->begin();
  }
  return fail("{}: {} is {}, which is none of the answers.", line.where(), member,
              in_quotes(text_of(*value)));
}

Status check_members(const Json& object, std::span<const std::string_view> known,
                     const std::string& file) {
  for (const auto& [name, value] : object.items()) {
    if (std::ranges::find(known, name) == known.end()) {
      return fail("{} has the member {}; it may have {}.", file, in_quotes(name),
                  fmt::join(known, ", "));
    }
  }
  return {};
}

Result<ChoiceTask> read_choices(const JsonLine& task, const std::filesystem::path& folder) {
  ChoiceTask read;
  FATHOM_TRY(read.name, task.text("name"));
  FATHOM_TRY(const std::string data, task.text("data"));
  FATHOM_TRY(const std::string prompt, task.text("prompt"));
  FATHOM_TRY(const std::string answer, task.text("answer"));
  FATHOM_TRY(const Json* choices, task.find("choices"));
  if (!choices->is_string() && !choices->is_array()) {
    return fail("{}: choices must be a member's name or an array of answers.", task.where());
  }
  read.metrics = {{"acc", accuracy}, {"acc_norm", accuracy_by_length}};
  FATHOM_TRY(const auto lines, read_jsonl(folder / data));
  read.questions.reserve(lines.size());
  for (const JsonLine& line : lines) {
    ChoiceQuestion question;
    FATHOM_TRY(question.context, fill(prompt, line));
    FATHOM_TRY(const Choices given, choices_of(*choices, line));
    FATHOM_TRY(question.right, right_of(answer, given, line));
    question.choices.reserve(given.texts.size());
    for (const std::string& choice : given.texts) question.choices.push_back(" " + choice);
    read.questions.push_back(std::move(question));
  }
  return read;
}

// What all questions of a task share.
Result<OpenQuestion> read_limits(const JsonLine& task) {
  OpenQuestion asked;
  const Json& object = task.object();
  if (object.contains("max_tokens")) {
    FATHOM_TRY(asked.max_tokens, task.integer("max_tokens"));
    if (asked.max_tokens < 1) return fail("{}: max_tokens must be at least 1.", task.where());
  }
  if (object.contains("chat")) {
    FATHOM_TRY(asked.chat, task.boolean("chat"));
  }
  if (object.contains("stop")) {
    FATHOM_TRY(const Json* stop, task.array("stop"));
    for (const Json& text : *stop) {
      if (!text.is_string() || text.get_ref<const std::string&>().empty()) {
        return fail("{}: stop must be an array of texts.", task.where());
      }
      asked.stop.push_back(text.get<std::string>());
    }
  }
  return asked;
}

Result<GenerationTask> read_generation(const JsonLine& task, const std::filesystem::path& folder) {
  GenerationTask read;
  FATHOM_TRY(read.name, task.text("name"));
  FATHOM_TRY(const std::string data, task.text("data"));
  FATHOM_TRY(const std::string prompt, task.text("prompt"));
  FATHOM_TRY(const std::string answer, task.text("answer"));
  FATHOM_TRY(const OpenQuestion limits, read_limits(task));
  FATHOM_TRY(const auto lines, read_jsonl(folder / data));
  read.questions.reserve(lines.size());
  for (const JsonLine& line : lines) {
    GenerationTask::Question question{.asked = limits, .accepted = {}};
    FATHOM_TRY(question.asked.prompt, fill(prompt, line));
    FATHOM_TRY(const Json* accepted, line.find(answer));
    if (accepted->is_array()) {
      for (const Json& text : *accepted) question.accepted.push_back(text_of(text));
    } else {
      question.accepted.push_back(text_of(*accepted));
    }
    if (question.accepted.empty()) {
      return fail("{}: {} lists no answer that is right.", line.where(), answer);
    }
    read.questions.push_back(std::move(question));
  }
  return read;
}

}  // namespace

Result<std::variant<ChoiceTask, GenerationTask>> read_task_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail("{} cannot be read.", path.string());
  const std::string text(std::istreambuf_iterator<char>(file), {});
  FATHOM_TRY(Json object, parse_json(text, path.string()));
  return read_task(std::move(object), path);
}

Result<std::variant<ChoiceTask, GenerationTask>> read_task(Json object,
                                                           const std::filesystem::path& path) {
  if (!object.is_object()) return fail("{} must hold an object with members.", path.string());
  const std::string type = object.value("type", Json("choice")).is_string()
                               ? object.value("type", "choice")
                               : std::string();
  const auto folder = path.parent_path();
  if (type == "choice") {
    constexpr std::string_view kKnown[] = {"name", "type", "data", "prompt", "choices", "answer"};
    FATHOM_CHECK(check_members(object, kKnown, path.string()));
    FATHOM_TRY(auto task, read_choices({std::move(object), path.string()}, folder));
    return task;
  }
  if (type == "generate") {
    constexpr std::string_view kKnown[] = {"name",   "type",       "data", "prompt",
                                           "answer", "max_tokens", "stop", "chat"};
    FATHOM_CHECK(check_members(object, kKnown, path.string()));
    FATHOM_TRY(auto task, read_generation({std::move(object), path.string()}, folder));
    return task;
  }
  return fail("{}: type must be \"choice\" or \"generate\".", path.string());
}

CountedAnswers count_answers(const GenerationTask& task, std::span<const std::string> given) {
  CountedAnswers counted;
  counted.task.name = task.name;
  counted.task.metrics = {{"em", word_match}, {"f1", word_f1}};
  counted.task.scored_by = {"f1"};
  counted.task.questions.reserve(given.size());
  for (size_t i = 0; i < given.size(); ++i) {
    counted.task.questions.push_back({.context = task.questions[i].asked.prompt,
                                      .choices = {given[i]},
                                      .names = {given[i]},
                                      .accepted = task.questions[i].accepted});
  }
  counted.outcomes.resize(given.size());
  return counted;
}

}  // namespace fathom
