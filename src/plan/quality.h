// How good a model's answers are, for --quality: what was measured here where anything was, and
// what its makers published otherwise, marked as a claim. Scores of different benchmarks are not on
// one scale, so measured ones are all of one task (task_of). Plain data; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plan/model_facts.h"

namespace fathom::plan {

struct Quality {
  double score = 0;       // 0 to 100
  bool measured = false;  // false: a claim, and of the model as published, whatever the precision
  std::string benchmark;  // "MMLU, 5 shots"; of what was measured: the task
  std::string source;
  std::string date = {};       // of a measurement: "2026-11-28"
  std::string precision = {};  // at which it was measured: "Q4_K + Q6_K"; empty: not known
};

// An evaluation that was made here.
struct MeasuredQuality {
  std::string model;          // as the checkpoint calls itself
  std::string identity = {};  // as ModelFacts::identity; of a server's model its URL
  double finished = 0;        // seconds since 1970
  Quality quality;
};

// The task whose scores count: the one that most of the models were measured by, the latest of
// equals; empty where none was measured.
std::string task_of(const std::vector<MeasuredQuality>& measured,
                    const std::vector<ModelFacts>& models);

// By this task, the evaluation that fits the model best: of the same file, of the same name and
// precision, of the same name and most of its matrices' precision, the latest of equals. What the
// makers claim (MMLU, or the benchmark that `task` names) where there is none, and nothing where
// there is no claim either.
std::optional<Quality> quality_of(const ModelFacts& model,
                                  const std::vector<MeasuredQuality>& measured,
                                  std::string_view task);

// How a task or benchmark that was asked for is spelt; fails (kUsage) where nobody was measured by
// it and nothing is claimed.
Result<std::string> find_task(std::string_view wanted,
                              const std::vector<MeasuredQuality>& measured);

}  // namespace fathom::plan
