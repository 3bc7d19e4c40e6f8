// The attention half of a decoder layer: y = Attention(x), reading and extending the KV cache.
// One interface; grouped-query attention here, DeepSeek's latent attention in layers/mla.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "layers/norm.h"
#include "layers/step.h"
#include "layers/weights.h"

namespace fathom {

class Attention {
 public:
  virtual ~Attention() = default;
  // x [rows, hidden] -> y [rows, hidden].
  virtual void forward(const Step& step, const float* x, float* y) const = 0;
};

// Grouped-query attention (Ainslie et al. 2023) with rotary positions: Llama, Qwen2 (biases on
// q, k, v), Qwen3 (RMS norm over every head of q and k before rotation), DeepSeek-MoE.
class GroupedQueryAttention final : public Attention {
 public:
  static Result<std::unique_ptr<Attention>> load(WeightLoader& loader, int64_t layer);
  void forward(const Step& step, const float* x, float* y) const override;

 private:
  int64_t layer_ = 0;
  AttentionShape shape_;
  Linear q_, k_, v_, o_;
  std::optional<RmsNorm> q_norm_, k_norm_;
};

// The width of one layer's cache rows for either kind of attention.
CacheLayout cache_layout_of(const ModelConfig& config, CacheType type);

}  // namespace fathom
