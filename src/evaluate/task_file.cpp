#include "evaluate/task_file.h"

#include <algorithm>
#include <fstream>
#include <iterator>

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

Result<std::vector<std::string>> choices_of(const Json& choices, const JsonLine& line) {
  const Json* list = &choices;
  if (choices.is_string()) {
    FATHOM_TRY(list, line.array(choices.get<std::string>()));
  }
  std::vector<std::string> texts;
  for (const Json& choice : *list) texts.push_back(text_of(choice));
  if (texts.size() < 2) return fail("{}: a question needs at least two answers.", line.where());
  return texts;
}

Result<int64_t> right_of(const std::string& member, const std::vector<std::string>& choices,
                         const JsonLine& line) {
  FATHOM_TRY(const Json* value, line.find(member));
  if (value->is_number_integer()) {
    const auto index = value->get<int64_t>();
    if (index >= 0 && index < std::ssize(choices)) return index;
    return fail("{}: {} is {}; there are the answers 0 to {}.", line.where(), member, index,
                choices.size() - 1);
  }
  const auto found = std::ranges::find(choices, text_of(*value));
  if (found != choices.end()) return found - choices.begin();
  return fail("{}: {} is {}, which is none of the answers.", line.where(), member,
              in_quotes(text_of(*value)));
}

}  // namespace

Result<ChoiceTask> read_task_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail("{} cannot be read.", path.string());
  const std::string text(std::istreambuf_iterator<char>(file), {});
  FATHOM_TRY(Json object, parse_json(text, path.string()));
  if (!object.is_object()) return fail("{} must be a JSON object.", path.string());
  for (const auto& [name, value] : object.items()) {
    constexpr std::string_view kKnown[] = {"name", "data", "prompt", "choices", "answer"};
    if (std::ranges::find(kKnown, name) == std::end(kKnown)) {
      return fail("{} has the member {}; it may have {}.", path.string(), in_quotes(name),
                  fmt::join(kKnown, ", "));
    }
  }
  const JsonLine task(std::move(object), path.string());
  ChoiceTask read;
  FATHOM_TRY(read.name, task.text("name"));
  FATHOM_TRY(const std::string data, task.text("data"));
  FATHOM_TRY(const std::string prompt, task.text("prompt"));
  FATHOM_TRY(const std::string answer, task.text("answer"));
  FATHOM_TRY(const Json* choices, task.find("choices"));
  if (!choices->is_string() && !choices->is_array()) {
    return fail("{}: choices must be a member's name or an array of answers.", path.string());
  }
  read.metrics = {{"acc", accuracy}, {"acc_norm", accuracy_by_length}};
  FATHOM_TRY(const auto lines, read_jsonl(path.parent_path() / data));
  for (const JsonLine& line : lines) {
    ChoiceQuestion question;
    FATHOM_TRY(question.context, fill(prompt, line));
    FATHOM_TRY(const auto texts, choices_of(*choices, line));
    FATHOM_TRY(question.right, right_of(answer, texts, line));
    for (const std::string& choice : texts) question.choices.push_back(" " + choice);
    read.questions.push_back(std::move(question));
  }
  return read;
}

}  // namespace fathom
