// How good a model's answers are, for --quality: measured evaluations where there are any, and what
// its makers published otherwise, marked as a claim. Plain data; any thread.
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
  std::string benchmark;  // "MMLU, 5 shots"
  std::string source;
};

// A measured evaluation of the model (by ModelFacts::name or title) at a precision.
struct MeasuredQuality {
  std::string model;
  std::string precision;
  Quality quality;
};

// Measured before published; nothing where neither is known.
std::optional<Quality> quality_of(const ModelFacts& model,
                                  const std::vector<MeasuredQuality>& measured);

}  // namespace fathom::plan
