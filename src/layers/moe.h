// The sparse feed-forward layer (DeepSeek-MoE, 2024): every token goes through the shared experts
// and through the few routed experts its router chose,
//   y = Shared(x) + sum_k weight_k * Expert_k(x).
// Tokens are grouped by expert first, so that an expert's weights are read once per batch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "layers/expert_store.h"
#include "layers/feed_forward.h"
#include "layers/router.h"

namespace fathom {

class MixtureOfExperts final : public FeedForward {
 public:
  // prefix as in "model.layers.3.mlp.".
  static Result<std::unique_ptr<FeedForward>> load(WeightLoader& loader, const std::string& prefix);
  void forward(const Step& step, const float* x, float* y) const override;

 private:
  // The (token, choice) pairs of a batch, sorted by expert.
  struct Plan {
    int64_t pairs = 0;
    int32_t* first = nullptr;  // [experts + 1]: pairs of expert e are first[e] .. first[e + 1]
    int32_t* row = nullptr;    // [pairs]: the token's row in x
    float* weight = nullptr;   // [pairs]
  };
  Plan plan(const Step& step, const float* x) const;

  // What adapters add to one of the experts' matrices, y [pairs, out]. by_row: x is [rows, in],
  // otherwise [pairs, in].
  struct LoraSite {
    int32_t ExpertWeights::* site;
    const float* x;
    int64_t x_stride;
    bool by_row;
    float* y;
    int64_t y_stride;
  };
  void add_expert_lora(const Step& step, const Plan& plan, std::span<const LoraSite> sites) const;

  MoeConfig config_;
  Router router_;
  std::unique_ptr<ExpertStore> experts_;
  std::unique_ptr<GatedFeedForward> shared_;  // all shared experts side by side; may be null
  int64_t hidden_ = 0;
};

}  // namespace fathom
