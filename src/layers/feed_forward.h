// The feed-forward half of a decoder layer: y = FeedForward(x). Dense here; the sparse one is
// layers/moe.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "layers/step.h"
#include "layers/weights.h"

namespace fathom {

class FeedForward {
 public:
  virtual ~FeedForward() = default;
  // x [rows, hidden] -> y [rows, hidden].
  virtual void forward(const Step& step, const float* x, float* y) const = 0;
};

// SwiGLU (Shazeer 2020): down(silu(gate(x)) * up(x)).
class GatedFeedForward final : public FeedForward {
 public:
  // prefix as in "model.layers.0.mlp.".
  static Result<std::unique_ptr<FeedForward>> load(WeightLoader& loader, const std::string& prefix);
  void forward(const Step& step, const float* x, float* y) const override;

 private:
  Linear gate_, up_, down_;
};

}  // namespace fathom
