// The feed-forward half of a decoder layer: y = FeedForward(x). Dense here; the sparse one is
// layers/moe.h.
#pragma once

#include <array>
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
  static Result<std::unique_ptr<GatedFeedForward>> load_gated(WeightLoader& loader,
                                                              const std::string& prefix);
  void forward(const Step& step, const float* x, float* y) const override;

  // Its products, for a layer that computes them beside others: first these two, then down's of
  // silu(gate) * up. Neither biases nor adapters are in them.
  int64_t width() const { return gate_.w.out; }
  bool has_bias() const { return !(gate_.bias.empty() && up_.bias.empty() && down_.bias.empty()); }
  std::array<MatmulJob, 2> gate_and_up(const float* x, int64_t rows, float* gate, float* up) const;
  MatmulJob down(const float* x, int64_t rows, float* y) const;

 private:
  Linear gate_, up_, down_;
};

}  // namespace fathom
