// SuperGLUE (Wang et al. 2019): BoolQ, CB, COPA, MultiRC, ReCoRD, RTE, WiC and WSC, read from the
// official JSONL files (DIRECTORY/BoolQ/val.jsonl and so on) and asked with the prompts of
// lm-evaluation-harness 0.4 (lm_eval/tasks/super_glue, the "default" ones), metrics included:
//
//   accuracy for all but ReCoRD; macro F1 of three classes for CB; F1 of words and exact match for
//   ReCoRD.
//
// MultiRC's accuracy there compares "yes" with the label of a wrong answer, and so here, to be
// equal; what the leaderboard reports, F1 over all answers (f1a) and the share of questions with
// all answers right (em), is right way up and there too. A task's score is the leaderboard's:
// accuracy, or the mean of its two metrics for CB, MultiRC and ReCoRD.
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "base/result.h"
#include "evaluate/choice_task.h"

namespace fathom {

// "boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc".
std::span<const std::string_view> superglue_tasks();

// shots: examples with their answers that precede each question, the first of the training file;
// none of them unless there are as many. Errors name the file and its line.
Result<ChoiceTask> read_superglue(std::string_view task, const std::filesystem::path& directory,
                                  int64_t shots);

}  // namespace fathom
