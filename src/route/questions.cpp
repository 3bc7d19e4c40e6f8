#include "route/questions.h"

#include <algorithm>

#include "base/json.h"
#include "base/quote.h"
#include "text/answer_words.h"

namespace fathom::route {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostQuestions = 1'000'000;

Result<std::vector<Message>> read_messages(const Json& row, const std::string& where) {
  const bool has_prompt = row.contains("prompt");
  if (has_prompt == row.contains("messages")) {
    return fail("{} must have either a prompt or messages.", where);
  }
  if (has_prompt) {
    if (!row["prompt"].is_string()) return fail("{}: prompt must be a text.", where);
    return std::vector<Message>{{"user", row["prompt"].get<std::string>()}};
  }
  const Json& list = row["messages"];
  if (!list.is_array() || list.empty()) {
    return fail("{}: messages must be an array that is not empty.", where);
  }
  std::vector<Message> messages;
  for (const Json& entry : list) {
    const bool fine = entry.is_object() && entry.contains("role") && entry["role"].is_string() &&
                      entry.contains("content") && entry["content"].is_string();
    if (!fine) return fail("{}: each message must have a role and a content, both texts.", where);
    messages.push_back({entry["role"].get<std::string>(), entry["content"].get<std::string>()});
  }
  return messages;
}

Status read_answers(const Json& value, const std::string& where,
                    std::vector<std::string>& answers) {
  if (value.is_string()) {
    answers.push_back(value.get<std::string>());
    return {};
  }
  const bool texts = value.is_array() && !value.empty() &&
                     std::ranges::all_of(value, [](const Json& v) { return v.is_string(); });
  if (!texts) return fail("{}: answer must be a text or an array of texts.", where);
  answers = value.get<std::vector<std::string>>();
  return {};
}

Result<Preferred> read_preferred(const Json& value, const std::string& where) {
  if (value == "lite") return Preferred::kLite;
  if (value == "v1") return Preferred::kV1;
  if (value == "tie") return Preferred::kTie;
  return fail("{}: preferred must be \"lite\", \"v1\" or \"tie\".", where);
}

Result<RouteQuestion> read_question(std::string_view line, const std::string& where) {
  FATHOM_TRY(const Json row, parse_json(line, where));
  if (!row.is_object()) return fail("{} must be a JSON object.", where);
  for (const auto& [name, value] : row.items()) {
    if (name != "prompt" && name != "messages" && name != "answer" && name != "preferred") {
      return fail("{} has the member {}; it may have prompt or messages, and answer or preferred.",
                  where, in_quotes(name));
    }
  }
  RouteQuestion question;
  FATHOM_TRY(question.messages, read_messages(row, where));
  const bool has_answer = row.contains("answer");
  if (has_answer == row.contains("preferred")) {
    return fail("{} must have either an answer or preferred.", where);
  }
  if (has_answer) {
    FATHOM_CHECK(read_answers(row["answer"], where, question.answers));
  } else {
    FATHOM_TRY(question.preferred, read_preferred(row["preferred"], where));
  }
  return question;
}

double score_one(Scoring scoring, std::string_view given, std::string_view right) {
  if (scoring == Scoring::kF1) return answer_f1(given, right);
  const auto said = answer_words(given);
  const auto wanted = answer_words(right);
  if (scoring == Scoring::kExact) return said == wanted ? 1 : 0;
  return !wanted.empty() && !std::ranges::search(said, wanted).empty() ? 1 : 0;
}

}  // namespace

Result<std::vector<RouteQuestion>> parse_questions(std::string_view jsonl, std::string_view file) {
  std::vector<RouteQuestion> questions;
  size_t number = 0;
  while (!jsonl.empty()) {
    const size_t end = std::min(jsonl.find('\n'), jsonl.size());
    const std::string_view line = jsonl.substr(0, end);
    jsonl.remove_prefix(std::min(end + 1, jsonl.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (questions.size() == kMostQuestions) {
      return fail("{} has more than {} questions.", file, kMostQuestions);
    }
    FATHOM_TRY(auto question, read_question(line, fmt::format("{}, line {}", file, number)));
    questions.push_back(std::move(question));
  }
  if (questions.empty()) return fail("{} has no questions in it.", file);
  return questions;
}

double score(Scoring scoring, std::string_view given, const std::vector<std::string>& right) {
  double best = 0;
  for (const std::string& answer : right) {
    best = std::max(best, score_one(scoring, given, answer));
  }
  return best;
}

}  // namespace fathom::route
