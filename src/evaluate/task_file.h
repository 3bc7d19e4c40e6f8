// Tasks of the user's own: a JSON file that says where the questions are and how to ask them.
//
//   {"name": "capitals", "data": "capitals.jsonl",
//    "prompt": "Q: {question}\nA:", "choices": "options", "answer": "correct"}
//
// data: JSONL, relative to the task's file. prompt: {member} stands for a member of the question,
// {{ and }} for braces. choices: the member with the array of answers, or an array of the same
// answers for all. answer: the member with the right one, as its index or its text.
//
// Or a task whose answers the model writes:
//
//   {"name": "rivers", "type": "generate", "data": "rivers.jsonl", "prompt": "{question}",
//    "answer": "answers", "max_tokens": 32, "stop": ["\n"], "chat": true}
//
// answer: the member with the accepted answer, or an array of them. max_tokens (64), stop (none)
// and chat (true: the prompt is a user's message; false: a text to go on with) may be left out.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "evaluate/answerer.h"
#include "evaluate/choice_task.h"

namespace fathom {

struct GenerationTask {
  struct Question {
    OpenQuestion asked;
    std::vector<std::string> accepted;
  };
  std::string name;
  std::vector<Question> questions;
};

// Metrics of choices: acc, and acc_norm (by the length of answers).
Result<std::variant<ChoiceTask, GenerationTask>> read_task_file(const std::filesystem::path& path);
// The same of what such a file holds, however it was written; path is where it lies.
Result<std::variant<ChoiceTask, GenerationTask>> read_task(nlohmann::json object,
                                                           const std::filesystem::path& path);

// The answers counted as SQuAD's evaluation does (Rajpurkar et al. 2016): "em", equal in lower case
// without punctuation and articles; "f1", of the words. The best of those accepted. Each is the
// only choice of a question, so that measure() gives intervals.
struct CountedAnswers {
  ChoiceTask task;
  std::vector<ChoiceOutcome> outcomes;
};
CountedAnswers count_answers(const GenerationTask& task, std::span<const std::string> given);

}  // namespace fathom
