// Tasks of the user's own: a JSON file that says where the questions are and how to ask them.
//
//   {"name": "capitals", "data": "capitals.jsonl",
//    "prompt": "Q: {question}\nA:", "choices": "options", "answer": "correct"}
//
// data: JSONL, relative to the task's file. prompt: {member} stands for a member of the question,
// {{ and }} for braces. choices: the member with the array of answers, or an array of the same
// answers for all. answer: the member with the right one, as its index or its text.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "evaluate/choice_task.h"

namespace fathom {

// Metrics: acc, and acc_norm (by the length of answers).
Result<ChoiceTask> read_task_file(const std::filesystem::path& path);

}  // namespace fathom
