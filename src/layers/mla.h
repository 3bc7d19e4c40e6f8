// Multi-head latent attention (DeepSeek-V2, 2024, section 2.1) in its absorbed form: the cache
// holds only the normalised latent c and the rotary key k_pe, [rank + rope] for each token, shared
// by all heads. With W_UK absorbed into the query and W_UV applied after attention,
//
//   score_h = (W_UK_h^T q_nope_h) . c + q_pe_h . k_pe,    out_h = W_UV_h (sum_t p_t c_t)
//
// which is attention with one KV head whose key is [c | k_pe] and whose value is c.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "layers/attention.h"

namespace fathom {

class LatentAttention final : public Attention {
 public:
  static Result<std::unique_ptr<Attention>> load(WeightLoader& loader, int64_t layer);
  void forward(const Step& step, const float* x, float* y) const override;

 private:
  Status load_heads(WeightLoader& loader, const std::string& prefix);
  // q [rows, heads * (nope + rope)] and key [rows, latent | rotary key], neither rotated yet.
  void project_input(const Step& step, const float* x, float* q, float* key) const;
  // What adapters of kv_b_proj add to the heads' products, of keys (part 0) or of values (heads).
  void add_head_lora(const Step& step, int64_t part, const MatmulJob* jobs) const;

  int64_t layer_ = 0;
  int32_t kv_b_site_ = 0;
  MlaConfig dims_;
  AttentionShape shape_;     // as the kernel sees it: one KV head, key rank + rope, value rank
  std::optional<Linear> q_;  // [heads * (nope + rope), hidden], or
  std::optional<Linear> q_a_, q_b_;  // hidden -> q_lora_rank -> heads * (nope + rope)
  std::optional<RmsNorm> q_a_norm_;
  Linear kv_a_;                         // [rank + rope, hidden]
  RmsNorm kv_a_norm_;                   // over rank
  std::vector<PackedMatrix> key_up_;    // W_UK^T of each head, [rank, nope]
  std::vector<PackedMatrix> value_up_;  // W_UV of each head, [v, rank]
  Linear o_;
};

}  // namespace fathom
