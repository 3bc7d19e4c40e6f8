// Chooses each token's experts, as DeepSeek-MoE (2024), V2 (group-limited greedy) and V3 (sigmoid
// scores, correction bias for the choice alone, groups scored by their two best) define it.
// Ties go to the lower expert id.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "layers/step.h"
#include "layers/weights.h"

namespace fathom {

class Router {
 public:
  static Result<Router> load(WeightLoader& loader, const std::string& prefix);

  // x [rows, hidden] -> experts and weights, both [rows, experts_per_token]; a token's experts
  // ascend, so that their outputs are summed in the same order whatever else is in the batch.
  void route(const Step& step, const float* x, int32_t* experts, float* weights) const;

 private:
  // One token: scores [experts] in place, choice [experts] and scratch [groups] are overwritten.
  void choose(float* scores, float* choice, float* scratch, int32_t* experts, float* weights) const;

  MoeConfig config_;
  Linear gate_;              // [experts, hidden]
  std::vector<float> bias_;  // [experts], or empty
};

}  // namespace fathom
