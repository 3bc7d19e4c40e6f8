// The answers of whoever is evaluated to a task's questions: asked in portions, each of which is
// kept before the next, so that an interrupted run goes on where it stopped. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "evaluate/answerer.h"
#include "evaluate/choice_task.h"
#include "evaluate/task_file.h"
#include "storage/results.h"

namespace fathom::cli {

using Task = std::variant<ChoiceTask, GenerationTask>;

// A task with all its outcomes: choices as they were made, or generated answers as counted.
struct TaskAnswers {
  ChoiceTask task;
  std::vector<ChoiceOutcome> outcomes;
  std::vector<std::string> given;  // of a generation task
};

// Of all that is asked: other questions are another run.
std::string fingerprint(const Task& task);

// results: where answers are kept, and found; may be null.
Result<TaskAnswers> answer_task(EvaluationResults* results, int64_t run, Answerer& answerer,
                                const Task& task);

}  // namespace fathom::cli
