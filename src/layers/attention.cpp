#include "layers/attention.h"

#include <cmath>
#include <utility>

#include "layers/lora.h"
#include "layers/names.h"

namespace fathom {

CacheLayout cache_layout_of(const ModelConfig& config, CacheType type) {
  CacheLayout layout;
  layout.layers = config.layers;
  layout.type = type;
  if (config.is_mla()) {
    layout.key_width = config.mla.kv_lora_rank + config.mla.rope_head_dim;
    layout.values_in_keys = true;
    layout.key_split = config.mla.kv_lora_rank;
  } else {
    layout.key_width = config.kv_heads * config.head_dim;
    layout.value_width = layout.key_width;
    layout.kv_heads = config.kv_heads;
  }
  return layout;
}

Result<std::unique_ptr<Attention>> GroupedQueryAttention::load(WeightLoader& loader,
                                                               int64_t layer) {
  const ModelConfig& config = loader.config();
  const std::string prefix = layer_name(layer, "self_attn.");
  auto attention = std::make_unique<GroupedQueryAttention>();
  attention->layer_ = layer;
  attention->shape_ = {.heads = config.heads,
                       .kv_heads = config.kv_heads,
                       .key_dim = config.head_dim,
                       .value_dim = config.head_dim,
                       .scale = config.rope.softmax_mscale * config.rope.softmax_mscale /
                                std::sqrt(static_cast<float>(config.head_dim))};
  FATHOM_TRY(attention->q_, loader.linear(prefix + "q_proj"));
  FATHOM_TRY(attention->k_, loader.linear(prefix + "k_proj"));
  FATHOM_TRY(attention->v_, loader.linear(prefix + "v_proj"));
  FATHOM_TRY(attention->o_, loader.linear(prefix + "o_proj"));
  if (config.qk_norm) {
    FATHOM_TRY(attention->q_norm_, RmsNorm::load(loader, prefix + "q_norm"));
    FATHOM_TRY(attention->k_norm_, RmsNorm::load(loader, prefix + "k_norm"));
  }
  return attention;
}

void GroupedQueryAttention::forward(const Step& step, const float* x, float* y) const {
  const Workspace::Scope scope(step.workspace);
  const int64_t hidden = q_.w.in;
  const int64_t dim = shape_.key_dim;
  const int64_t q_width = shape_.heads * dim;
  const int64_t kv_width = shape_.kv_heads * dim;
  float* q = step.workspace.floats(step.rows * q_width);    // [rows, heads * dim]
  float* k = step.workspace.floats(step.rows * kv_width);   // [rows, kv_heads * dim]
  float* v = step.workspace.floats(step.rows * kv_width);   // [rows, kv_heads * dim]
  float* out = step.workspace.floats(step.rows * q_width);  // [rows, heads * dim]

  // What fine inputs win and cost: docs/performance.md, "Accuracy". A key that several heads share
  // is wrong for all of them; of keys of their own the mean hardly shows it, and they cost more.
  const bool shared = shape_.kv_heads < shape_.heads;
  project(step, x, hidden,
          {{&q_, q, q_width}, {&k_, k, kv_width, shared}, {&v_, v, kv_width, true}});
  if (q_norm_) {
    q_norm_->forward(step.kernels, q, dim, step.rows * shape_.heads, q, dim);
    k_norm_->forward(step.kernels, k, dim, step.rows * shape_.kv_heads, k, dim);
  }
  step.rotate(q, q_width, shape_.heads, dim);
  step.rotate(k, kv_width, shape_.kv_heads, dim);
  step.attend(layer_, shape_, k, kv_width, v, kv_width, q, out);
  project(step, out, q_width, {{&o_, y, o_.w.out}});
}

}  // namespace fathom
