#include "checkpoint/validate.h"

#include <algorithm>
#include <cmath>

#include "base/quote.h"

namespace fathom {

namespace {

// Far above every real model, and small enough that no product of two of them overflows.
constexpr int64_t kMaxSize = int64_t{1} << 28;
constexpr int64_t kMaxLayers = 10'000;
constexpr int64_t kMaxExperts = 65'536;

Status check_range(std::string_view source, std::string_view what, int64_t value, int64_t least,
                   int64_t most) {
  if (value >= least && value <= most) return {};
  return fail("{}: {} is {}, expected {} to {}", source, what, value, least, most);
}

Status check_number(std::string_view source, std::string_view what, float value) {
  if (std::isfinite(value) && value > 0) return {};
  return fail("{}: {} is {}, expected a positive number", source, what, value);
}

Status validate_rope(const ModelConfig& config, std::string_view source) {
  const RopeConfig& rope = config.rope;
  FATHOM_CHECK(check_number(source, "the rope base (rope_theta)", rope.theta));
  if (rope.theta <= 1.0F) {
    return fail("{}: the rope base (rope_theta) is {}, expected more than 1", source, rope.theta);
  }
  FATHOM_CHECK(check_number(source, "the rope scaling factor", rope.factor));
  FATHOM_CHECK(check_number(source, "YaRN's attention factor", rope.attention_factor));
  FATHOM_CHECK(check_number(source, "YaRN's softmax scale", rope.softmax_mscale));
  FATHOM_CHECK(check_number(source, "YaRN's beta_fast", rope.beta_fast));
  FATHOM_CHECK(check_number(source, "YaRN's beta_slow", rope.beta_slow));
  if (rope.scaling == RopeScaling::kYarn || rope.scaling == RopeScaling::kLlama3) {
    FATHOM_CHECK(check_range(source, "the rope scaling's original context length",
                             rope.original_context, 1, kMaxSize));
  }
  if (rope.scaling == RopeScaling::kLlama3) {
    FATHOM_CHECK(check_number(source, "the rope's low_freq_factor", rope.low_freq_factor));
    FATHOM_CHECK(check_number(source, "the rope's high_freq_factor", rope.high_freq_factor));
    if (rope.high_freq_factor <= rope.low_freq_factor) {
      return fail("{}: the rope's high_freq_factor ({}) must be above its low_freq_factor ({})",
                  source, rope.high_freq_factor, rope.low_freq_factor);
    }
  }
  for (const float factor : rope.frequency_factors) {
    FATHOM_CHECK(check_number(source, "a rope frequency factor (rope_freqs.weight)", factor));
  }
  const int64_t rotated = config.is_mla() ? config.mla.rope_head_dim : config.head_dim;
  if (!rope.frequency_factors.empty() &&
      static_cast<int64_t>(rope.frequency_factors.size()) != rotated / 2) {
    return fail("{}: rope_freqs.weight has {} values, expected {} (half of the head size)", source,
                rope.frequency_factors.size(), rotated / 2);
  }
  return {};
}

Status validate_moe(const ModelConfig& config, std::string_view source) {
  const MoeConfig& moe = config.moe;
  FATHOM_CHECK(check_range(source, "the number of experts per token", moe.experts_per_token, 1,
                           moe.experts));
  FATHOM_CHECK(
      check_range(source, "the number of shared experts", moe.shared_experts, 0, kMaxExperts));
  FATHOM_CHECK(
      check_range(source, "an expert's intermediate size", moe.expert_hidden, 1, kMaxSize));
  FATHOM_CHECK(check_range(source, "the number of leading dense layers", moe.first_dense_layers, 0,
                           config.layers));
  FATHOM_CHECK(check_range(source, "the MoE layer frequency", moe.layer_frequency, 1, kMaxLayers));
  FATHOM_CHECK(check_range(source, "the number of expert groups", moe.groups, 1, moe.experts));
  FATHOM_CHECK(check_range(source, "the number of expert groups per token", moe.groups_per_token, 1,
                           moe.groups));
  if (moe.experts % moe.groups != 0) {
    return fail("{}: {} experts cannot be split into {} equal groups", source, moe.experts,
                moe.groups);
  }
  const int64_t per_group = moe.experts / moe.groups;
  if (moe.groups > 1 && moe.group_score_top2 && per_group < 2) {
    return fail("{}: groups of {} expert cannot be scored by their two best", source, per_group);
  }
  if (moe.experts_per_token > moe.groups_per_token * per_group) {
    return fail("{}: {} experts per token are more than the {} in the {} groups a token may use",
                source, moe.experts_per_token, moe.groups_per_token * per_group,
                moe.groups_per_token);
  }
  return check_number(source, "the experts' weight scale (routed_scaling_factor)",
                      moe.weight_scale);
}

Status validate_mla(const ModelConfig& config, std::string_view source) {
  const MlaConfig& mla = config.mla;
  FATHOM_CHECK(
      check_range(source, "the latent's rank (kv_lora_rank)", mla.kv_lora_rank, 1, kMaxSize));
  FATHOM_CHECK(check_range(source, "the query's rank (q_lora_rank)", mla.q_lora_rank, 0, kMaxSize));
  FATHOM_CHECK(check_range(source, "a head's part without position (qk_nope_head_dim)",
                           mla.nope_head_dim, 1, kMaxSize));
  FATHOM_CHECK(check_range(source, "a head's rotary part (qk_rope_head_dim)", mla.rope_head_dim, 2,
                           kMaxSize));
  FATHOM_CHECK(
      check_range(source, "a head's value size (v_head_dim)", mla.v_head_dim, 1, kMaxSize));
  if (mla.rope_head_dim % 2 != 0) {
    return fail("{}: a head's rotary part (qk_rope_head_dim) is {}, expected an even number",
                source, mla.rope_head_dim);
  }
  return {};
}

class TensorChecker {
 public:
  TensorChecker(const ModelConfig& config, const std::vector<Tensor>& tensors,
                std::string_view source)
      : c_(config), tensors_(tensors), source_(source) {}

  Status check() {
    FATHOM_CHECK(require("model.embed_tokens.weight", {c_.vocab_size, c_.hidden_size}));
    FATHOM_CHECK(require("model.norm.weight", {c_.hidden_size}));
    if (!c_.tied_embeddings) {
      FATHOM_CHECK(require("lm_head.weight", {c_.vocab_size, c_.hidden_size}));
    }
    for (int64_t layer = 0; layer < c_.layers + c_.mtp_layers; ++layer) {
      prefix_ = fmt::format("model.layers.{}.", layer);
      FATHOM_CHECK(check_layer(layer));
    }
    for (int64_t layer = c_.layers; layer < c_.layers + c_.mtp_layers; ++layer) {
      prefix_ = fmt::format("model.layers.{}.", layer);
      FATHOM_CHECK(in_layer("enorm.weight", {c_.hidden_size}));
      FATHOM_CHECK(in_layer("hnorm.weight", {c_.hidden_size}));
      FATHOM_CHECK(in_layer("eh_proj.weight", {c_.hidden_size, 2 * c_.hidden_size}));
      FATHOM_CHECK(in_layer("shared_head.norm.weight", {c_.hidden_size}));
    }
    return {};
  }

 private:
  Status check_layer(int64_t layer) {
    FATHOM_CHECK(in_layer("input_layernorm.weight", {c_.hidden_size}));
    FATHOM_CHECK(in_layer("post_attention_layernorm.weight", {c_.hidden_size}));
    FATHOM_CHECK(c_.is_mla() ? check_mla() : check_attention());
    const bool sparse = c_.is_sparse_layer(layer) || (c_.is_moe() && layer >= c_.layers);
    if (sparse) return check_moe();
    return check_mlp("mlp.", c_.intermediate_size);
  }

  Status check_attention() {
    const int64_t q = c_.heads * c_.head_dim;
    const int64_t kv = c_.kv_heads * c_.head_dim;
    FATHOM_CHECK(in_layer("self_attn.q_proj.weight", {q, c_.hidden_size}));
    FATHOM_CHECK(in_layer("self_attn.k_proj.weight", {kv, c_.hidden_size}));
    FATHOM_CHECK(in_layer("self_attn.v_proj.weight", {kv, c_.hidden_size}));
    FATHOM_CHECK(in_layer("self_attn.o_proj.weight", {c_.hidden_size, q}));
    FATHOM_CHECK(bias("self_attn.q_proj.bias", q, c_.attention_bias));
    FATHOM_CHECK(bias("self_attn.k_proj.bias", kv, c_.attention_bias));
    FATHOM_CHECK(bias("self_attn.v_proj.bias", kv, c_.attention_bias));
    if (find(prefix_ + "self_attn.o_proj.bias") != nullptr) {
      FATHOM_CHECK(in_layer("self_attn.o_proj.bias", {c_.hidden_size}));
    }
    if (c_.qk_norm) {
      FATHOM_CHECK(in_layer("self_attn.q_norm.weight", {c_.head_dim}));
      FATHOM_CHECK(in_layer("self_attn.k_norm.weight", {c_.head_dim}));
    }
    return {};
  }

  Status check_mla() {
    const MlaConfig& mla = c_.mla;
    const int64_t q = c_.heads * c_.head_dim;
    if (mla.q_lora_rank > 0) {
      FATHOM_CHECK(in_layer("self_attn.q_a_proj.weight", {mla.q_lora_rank, c_.hidden_size}));
      FATHOM_CHECK(in_layer("self_attn.q_a_layernorm.weight", {mla.q_lora_rank}));
      FATHOM_CHECK(in_layer("self_attn.q_b_proj.weight", {q, mla.q_lora_rank}));
    } else {
      FATHOM_CHECK(in_layer("self_attn.q_proj.weight", {q, c_.hidden_size}));
    }
    FATHOM_CHECK(in_layer("self_attn.kv_a_proj_with_mqa.weight",
                          {mla.kv_lora_rank + mla.rope_head_dim, c_.hidden_size}));
    FATHOM_CHECK(in_layer("self_attn.kv_a_layernorm.weight", {mla.kv_lora_rank}));
    if (find(prefix_ + "self_attn.k_b_proj.weight") != nullptr) {
      FATHOM_CHECK(
          in_layer("self_attn.k_b_proj.weight", {c_.heads, mla.kv_lora_rank, mla.nope_head_dim}));
      FATHOM_CHECK(
          in_layer("self_attn.v_b_proj.weight", {c_.heads, mla.v_head_dim, mla.kv_lora_rank}));
    } else {
      FATHOM_CHECK(in_layer("self_attn.kv_b_proj.weight",
                            {c_.heads * (mla.nope_head_dim + mla.v_head_dim), mla.kv_lora_rank}));
    }
    FATHOM_CHECK(in_layer("self_attn.o_proj.weight", {c_.hidden_size, c_.heads * mla.v_head_dim}));
    for (const char* name : {"self_attn.q_a_proj.bias", "self_attn.q_b_proj.bias",
                             "self_attn.q_proj.bias", "self_attn.kv_a_proj_with_mqa.bias",
                             "self_attn.kv_b_proj.bias", "self_attn.o_proj.bias"}) {
      if (find(prefix_ + name) != nullptr) return unsupported_bias(prefix_ + name);
    }
    return {};
  }

  Status check_moe() {
    const MoeConfig& moe = c_.moe;
    FATHOM_CHECK(in_layer("mlp.gate.weight", {moe.experts, c_.hidden_size}));
    if (moe.correction_bias) {
      FATHOM_CHECK(in_layer("mlp.gate.e_score_correction_bias", {moe.experts}));
    }
    for (int64_t expert = 0; expert < moe.experts; ++expert) {
      FATHOM_CHECK(check_mlp(fmt::format("mlp.experts.{}.", expert), moe.expert_hidden));
    }
    if (moe.shared_experts == 0) return {};
    return check_mlp("mlp.shared_experts.", moe.shared_experts * moe.expert_hidden);
  }

  Status check_mlp(const std::string& part, int64_t intermediate) {
    FATHOM_CHECK(in_layer(part + "gate_proj.weight", {intermediate, c_.hidden_size}));
    FATHOM_CHECK(in_layer(part + "up_proj.weight", {intermediate, c_.hidden_size}));
    FATHOM_CHECK(in_layer(part + "down_proj.weight", {c_.hidden_size, intermediate}));
    for (const char* name : {"gate_proj.bias", "up_proj.bias", "down_proj.bias"}) {
      if (find(prefix_ + part + name) != nullptr) return unsupported_bias(prefix_ + part + name);
    }
    return {};
  }

  Status bias(const std::string& name, int64_t size, bool expected) {
    if (expected) return in_layer(name, {size});
    if (find(prefix_ + name) != nullptr) return unsupported_bias(prefix_ + name);
    return {};
  }

  Status unsupported_bias(const std::string& name) {
    return fail(
        "{}: the tensor {} is a bias that models of the family {} do not have; computing "
        "without it would give wrong answers",
        source_, name, fathom::name(c_.family));
  }

  Status in_layer(const std::string& name, std::initializer_list<int64_t> shape) {
    return require(prefix_ + name, shape);
  }

  Status require(const std::string& name, std::initializer_list<int64_t> dims) {
    const Tensor* tensor = find(name);
    const Shape shape(dims);
    if (tensor == nullptr) {
      return fail(
          "{}: the tensor {} of shape {} is missing. The checkpoint is incomplete or of "
          "another architecture than it says ({})",
          source_, name, shape.to_string(), in_quotes(c_.architecture));
    }
    if (tensor->shape != shape) {
      return fail("{}: the tensor {} has the shape {}, but the configuration implies {}", source_,
                  name, tensor->shape.to_string(), shape.to_string());
    }
    if (!info(tensor->dtype).computable) {
      return fail("{}: the tensor {} is of type {}, which cannot be a weight", source_, name,
                  info(tensor->dtype).name);
    }
    if (tensor->dtype == DType::kF8E4M3 && tensor->block_scales == nullptr) {
      return fail("{}: the tensor {} is of type F8E4M3, but its scales ({}_scale_inv) are missing",
                  source_, name, name);
    }
    return {};
  }

  const Tensor* find(const std::string& name) const { return find_tensor(tensors_, name); }

  const ModelConfig& c_;
  const std::vector<Tensor>& tensors_;
  std::string_view source_;
  std::string prefix_;  // "model.layers.3."
};

}  // namespace

const Tensor* find_tensor(const std::vector<Tensor>& sorted, std::string_view name) {
  const auto found = std::lower_bound(
      sorted.begin(), sorted.end(), name,
      [](const Tensor& tensor, std::string_view wanted) { return tensor.name < wanted; });
  return found != sorted.end() && found->name == name ? &*found : nullptr;
}

Status validate_config(const ModelConfig& config, std::string_view source) {
  FATHOM_CHECK(check_range(source, "the vocabulary size", config.vocab_size, 1, kMaxSize));
  FATHOM_CHECK(check_range(source, "the hidden size", config.hidden_size, 1, kMaxSize));
  FATHOM_CHECK(check_range(source, "the number of layers", config.layers, 1, kMaxLayers));
  FATHOM_CHECK(check_range(source, "the number of heads", config.heads, 1, kMaxSize));
  FATHOM_CHECK(
      check_range(source, "the number of key-value heads", config.kv_heads, 1, config.heads));
  FATHOM_CHECK(check_range(source, "the head size", config.head_dim, 1, kMaxSize));
  FATHOM_CHECK(check_range(source, "the context length", config.context, 1, kMaxSize));
  FATHOM_CHECK(check_range(source, "the number of MTP layers", config.mtp_layers, 0, kMaxLayers));
  FATHOM_CHECK(check_range(source, "the number of experts", config.moe.experts, 0, kMaxExperts));
  const bool has_dense_layers =
      !config.is_moe() || config.moe.first_dense_layers > 0 || config.moe.layer_frequency > 1;
  FATHOM_CHECK(check_range(source, "the intermediate size", config.intermediate_size,
                           has_dense_layers ? 1 : 0, kMaxSize));
  if (config.heads % config.kv_heads != 0) {
    return fail("{}: {} heads cannot share {} key-value heads equally", source, config.heads,
                config.kv_heads);
  }
  if (!config.is_mla() && config.head_dim % 2 != 0) {
    return fail("{}: the head size is {}, expected an even number", source, config.head_dim);
  }
  if (!std::isfinite(config.norm_eps) || config.norm_eps < 0 || config.norm_eps > 1) {
    return fail("{}: the norm's epsilon is {}, expected a small positive number", source,
                config.norm_eps);
  }
  if (config.is_mla()) FATHOM_CHECK(validate_mla(config, source));
  if (config.is_moe()) FATHOM_CHECK(validate_moe(config, source));
  return validate_rope(config, source);
}

Status validate_tensors(const ModelConfig& config, const std::vector<Tensor>& tensors,
                        std::string_view source) {
  return TensorChecker(config, tensors, source).check();
}

void complete_config(ModelConfig& config, const std::vector<Tensor>& sorted) {
  int64_t mtp = 0;
  while (mtp < config.mtp_layers &&
         find_tensor(sorted, fmt::format("model.layers.{}.eh_proj.weight", config.layers + mtp)) !=
             nullptr) {
    ++mtp;
  }
  config.mtp_layers = mtp;
}

}  // namespace fathom
