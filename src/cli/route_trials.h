// Runs the questions of a calibration through both models of a route.
#pragma once

#include <vector>

#include "base/result.h"
#include "engine/serving_engine.h"
#include "route/calibration.h"
#include "route/questions.h"
#include "serve/prices.h"

namespace fathom::cli {

struct TrialOptions {
  route::Policy policy;  // names, judge and tokens
  route::Scoring scoring = route::Scoring::kContains;
  int64_t max_tokens = 256;               // of an answer
  const serve::Prices* prices = nullptr;  // null: cost is tokens times active parameters
};

// Answers are drawn greedily. V1 is not asked where people have said which answer they prefer; its
// cost is then taken to be that of an answer as long as Lite's. Fails where a model cannot answer a
// question, and when the user interrupts.
Result<std::vector<route::Trial>> run_trials(const Model& lite, const Model& v1,
                                             const std::vector<route::RouteQuestion>& questions,
                                             const TrialOptions& options);

}  // namespace fathom::cli
