#include "checkpoint/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "base/quote.h"
#include "tensor/dequantize.h"

namespace fathom {

namespace {

const Tensor* find(const std::vector<Tensor>& tensors, std::string_view name) {
  const auto found = std::ranges::find(tensors, name, &Tensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

// Reads the keys of one architecture.
class ConfigReader {
 public:
  ConfigReader(const GgufMetadata& metadata, const std::vector<Tensor>& tensors)
      : metadata_(metadata), tensors_(tensors) {}

  Result<ModelConfig> read() {
    FATHOM_TRY(const auto architecture, metadata_.get_string("general.architecture"));
    if (!architecture) {
      return fail("{}: the metadata key general.architecture is missing", metadata_.file());
    }
    arch_ = *architecture;
    c_.architecture = arch_;
    FATHOM_CHECK(read_family());
    FATHOM_TRY(const auto model_name, metadata_.get_string("general.name"));
    c_.model_name = model_name.value_or("");
    FATHOM_CHECK(read_sizes());
    if (c_.family == Family::kDeepseekV2) {
      FATHOM_CHECK(read_mla());
    } else {
      FATHOM_CHECK(read_heads());
    }
    FATHOM_CHECK(read_moe());
    FATHOM_CHECK(read_rope());
    c_.tied_embeddings = find(tensors_, "output.weight") == nullptr;
    c_.attention_bias = find(tensors_, "blk.0.attn_q.bias") != nullptr;
    return c_;
  }

 private:
  std::string key(std::string_view suffix) const { return fmt::format("{}.{}", arch_, suffix); }

  Result<int64_t> require_int(std::string_view suffix) {
    FATHOM_TRY(const auto value, metadata_.get_int(key(suffix)));
    if (!value) return fail("{}: the metadata key {} is missing", metadata_.file(), key(suffix));
    return *value;
  }

  Result<int64_t> int_or(std::string_view suffix, int64_t otherwise) {
    FATHOM_TRY(const auto value, metadata_.get_int(key(suffix)));
    return value.value_or(otherwise);
  }

  Result<float> float_or(std::string_view suffix, double otherwise) {
    FATHOM_TRY(const auto value, metadata_.get_float(key(suffix)));
    return static_cast<float>(value.value_or(otherwise));
  }

  Status read_family() {
    if (arch_ == "llama") {
      c_.family = Family::kLlama;
    } else if (arch_ == "qwen2") {
      c_.family = Family::kQwen2;
    } else if (arch_ == "qwen3") {
      c_.family = Family::kQwen3;
      c_.qk_norm = true;
    } else if (arch_ == "deepseek") {
      c_.family = Family::kDeepseekMoe;
    } else if (arch_ == "deepseek2") {
      c_.family = Family::kDeepseekV2;  // or V3: read_moe() decides
    } else {
      return fail(
          "{}: the architecture {} is not supported; supported are llama, qwen2, qwen3, "
          "deepseek and deepseek2",
          metadata_.file(), in_quotes(arch_));
    }
    return {};
  }

  Status read_sizes() {
    FATHOM_TRY(c_.hidden_size, require_int("embedding_length"));
    FATHOM_TRY(c_.layers, require_int("block_count"));
    FATHOM_TRY(c_.intermediate_size, require_int("feed_forward_length"));
    FATHOM_TRY(c_.context, require_int("context_length"));
    FATHOM_TRY(c_.heads, require_int("attention.head_count"));
    FATHOM_TRY(c_.kv_heads, int_or("attention.head_count_kv", c_.heads));
    FATHOM_TRY(c_.mtp_layers, int_or("nextn_predict_layers", 0));
    if (c_.mtp_layers < 0 || c_.mtp_layers >= std::max<int64_t>(c_.layers, 1)) {
      return fail("{}: {} MTP layers of {} blocks leave no model", metadata_.file(), c_.mtp_layers,
                  c_.layers);
    }
    c_.layers -= c_.mtp_layers;
    FATHOM_TRY(c_.norm_eps, float_or("attention.layer_norm_rms_epsilon", 1e-5));
    // The embedding knows best: vocab_size is optional and some files have it wrong.
    const Tensor* embedding = find(tensors_, "token_embd.weight");
    if (embedding == nullptr || embedding->shape.rank() != 2) {
      return fail("{}: the tensor token_embd.weight is {}", metadata_.file(),
                  embedding == nullptr ? "missing" : "not a matrix");
    }
    c_.vocab_size = embedding->shape[0];
    return {};
  }

  Status read_heads() {
    if (c_.heads < 1) {
      return fail("{}: {} is {}, expected at least 1", metadata_.file(),
                  key("attention.head_count"), c_.heads);
    }
    FATHOM_TRY(const int64_t key_length, int_or("attention.key_length", 0));
    if (key_length == 0 && c_.hidden_size % c_.heads != 0) {
      return fail("{}: a hidden size of {} cannot be split among {} heads", metadata_.file(),
                  c_.hidden_size, c_.heads);
    }
    c_.head_dim = key_length != 0 ? key_length : c_.hidden_size / c_.heads;
    FATHOM_TRY(const int64_t value_length, int_or("attention.value_length", c_.head_dim));
    FATHOM_TRY(const int64_t rotated, int_or("rope.dimension_count", c_.head_dim));
    if (value_length != c_.head_dim || rotated != c_.head_dim) {
      return fail(
          "{}: heads with {} key, {} value and {} rotated elements are not supported for "
          "{}; all three must be equal",
          metadata_.file(), c_.head_dim, value_length, rotated, arch_);
    }
    return {};
  }

  Status read_mla() {
    FATHOM_TRY(c_.mla.kv_lora_rank, require_int("attention.kv_lora_rank"));
    FATHOM_TRY(c_.mla.q_lora_rank, int_or("attention.q_lora_rank", 0));
    FATHOM_TRY(c_.mla.rope_head_dim, require_int("rope.dimension_count"));
    // Newer files describe the absorbed form in key_length (rank + rope) and the heads apart;
    // older ones the heads.
    FATHOM_TRY(const int64_t newer_key, int_or("attention.key_length_mla", 0));
    if (newer_key != 0) {
      c_.head_dim = newer_key;
      FATHOM_TRY(c_.mla.v_head_dim, require_int("attention.value_length_mla"));
    } else {
      FATHOM_TRY(c_.head_dim, require_int("attention.key_length"));
      FATHOM_TRY(c_.mla.v_head_dim, require_int("attention.value_length"));
    }
    if (c_.mla.kv_lora_rank < 1 || c_.mla.rope_head_dim < 1 ||
        c_.head_dim <= c_.mla.rope_head_dim) {
      return fail(
          "{}: a latent of rank {}, heads of {} elements and {} of them rotated make no "
          "sense",
          metadata_.file(), c_.mla.kv_lora_rank, c_.head_dim, c_.mla.rope_head_dim);
    }
    c_.mla.nope_head_dim = c_.head_dim - c_.mla.rope_head_dim;
    c_.kv_heads = c_.heads;  // the file's 1 is that of the absorbed form
    return {};
  }

  Status read_moe() {
    MoeConfig& moe = c_.moe;
    FATHOM_TRY(moe.experts, int_or("expert_count", 0));
    if (moe.experts == 0) {
      if (c_.family == Family::kDeepseekMoe) {
        return fail("{}: {} is missing or 0", metadata_.file(), key("expert_count"));
      }
      return {};
    }
    if (c_.family != Family::kDeepseekMoe && c_.family != Family::kDeepseekV2) {
      return fail("{}: {} with {} experts is not supported", metadata_.file(), arch_, moe.experts);
    }
    FATHOM_TRY(moe.experts_per_token, require_int("expert_used_count"));
    FATHOM_TRY(moe.shared_experts, int_or("expert_shared_count", 0));
    FATHOM_TRY(moe.expert_hidden, require_int("expert_feed_forward_length"));
    FATHOM_TRY(moe.first_dense_layers, int_or("leading_dense_block_count", 0));
    FATHOM_TRY(moe.weight_scale, float_or("expert_weights_scale", 1.0));
    if (moe.weight_scale == 0.0F) moe.weight_scale = 1.0F;  // written by some for "none"
    FATHOM_TRY(const auto normalize, metadata_.get_bool(key("expert_weights_norm")));
    moe.normalize_weights = normalize.value_or(false);

    FATHOM_TRY(const int64_t gating, int_or("expert_gating_func", 0));
    if (gating < 0 || gating > 2) {
      return fail("{}: {} is {}; softmax (1) and sigmoid (2) are supported", metadata_.file(),
                  key("expert_gating_func"), gating);
    }
    moe.scoring = gating == 2 ? RouterScoring::kSigmoid : RouterScoring::kSoftmax;
    moe.correction_bias = std::ranges::any_of(tensors_, [](const Tensor& tensor) {
      return tensor.name.find(".exp_probs_b") != std::string::npos;
    });
    if (c_.family == Family::kDeepseekV2 && moe.scoring == RouterScoring::kSigmoid) {
      c_.family = Family::kDeepseekV3;
      moe.group_score_top2 = true;
    }
    FATHOM_TRY(moe.groups, int_or("expert_group_count", 1));
    FATHOM_TRY(moe.groups_per_token, int_or("expert_group_used_count", moe.groups));
    if (metadata_.find(key("expert_group_count")) == nullptr) restore_groups();
    return {};
  }

  // Files made before converters wrote the groups: the two models that have them are known by
  // their shape.
  void restore_groups() {
    MoeConfig& moe = c_.moe;
    const bool is_v3 = c_.family == Family::kDeepseekV3 && moe.experts == 256 && c_.layers == 61 &&
                       c_.hidden_size == 7168;
    const bool is_v2 = c_.family == Family::kDeepseekV2 && moe.experts == 160 && c_.layers == 60 &&
                       c_.hidden_size == 5120;
    if (is_v3 || is_v2) {
      moe.groups = 8;
      moe.groups_per_token = is_v3 ? 4 : 3;
    }
  }

  Status read_rope() {
    RopeConfig& rope = c_.rope;
    const bool halves = c_.family == Family::kQwen2 || c_.family == Family::kQwen3;
    rope.layout = halves ? RopeLayout::kHalves : RopeLayout::kInterleaved;
    FATHOM_TRY(rope.theta, float_or("rope.freq_base", 10000.0));
    FATHOM_TRY(const float old_factor, float_or("rope.scale_linear", 1.0));
    FATHOM_TRY(rope.factor, float_or("rope.scaling.factor", old_factor));
    if (rope.factor == 0.0F) rope.factor = 1.0F;  // written by some for "none"
    FATHOM_TRY(rope.original_context, int_or("rope.scaling.original_context_length", c_.context));
    FATHOM_TRY(const auto stored_type, metadata_.get_string(key("rope.scaling.type")));
    // llama.cpp takes a factor without a type as linear.
    const std::string type = stored_type.value_or("linear");
    if (type == "none") {
      rope.factor = 1.0F;
    } else if (type == "linear") {
      rope.scaling = rope.factor == 1.0F ? RopeScaling::kNone : RopeScaling::kLinear;
    } else if (type == "yarn") {
      rope.scaling = RopeScaling::kYarn;
      FATHOM_CHECK(read_yarn());
    } else {
      return fail("{}: the rope scaling {} is not supported; supported are none, linear and yarn",
                  metadata_.file(), in_quotes(type));
    }
    return read_frequency_factors();
  }

  Status read_yarn() {
    RopeConfig& rope = c_.rope;
    FATHOM_TRY(rope.beta_fast, float_or("rope.scaling.yarn_beta_fast", 32.0));
    FATHOM_TRY(rope.beta_slow, float_or("rope.scaling.yarn_beta_slow", 1.0));
    FATHOM_TRY(const float stored, float_or("rope.scaling.attn_factor", 1.0));
    FATHOM_TRY(const float multiplier, float_or("rope.scaling.yarn_log_multiplier", 0.0));
    const float log_factor = rope.factor > 1.0F ? std::log(rope.factor) : 0.0F;
    if (c_.is_mla()) {
      rope.attention_factor = stored;
      rope.softmax_mscale = stored * (1.0F + multiplier * log_factor);
    } else {
      rope.attention_factor = stored * (1.0F + 0.1F * log_factor);
    }
    return {};
  }

  // Llama 3's scaling: the converter works it out into one divisor a frequency.
  Status read_frequency_factors() {
    const Tensor* factors = find(tensors_, "rope_freqs.weight");
    if (factors == nullptr) return {};
    constexpr int64_t kMost = 65'536;
    if (factors->dtype != DType::kF32 || factors->shape.rank() != 1 || factors->shape[0] > kMost) {
      return fail("{}: rope_freqs.weight should be a short vector of F32, but is {} of shape {}",
                  metadata_.file(), name(factors->dtype), factors->shape.to_string());
    }
    if (c_.rope.scaling == RopeScaling::kYarn) {
      return fail("{}: rope_freqs.weight together with YaRN is not supported", metadata_.file());
    }
    c_.rope.frequency_factors.resize(static_cast<size_t>(factors->shape[0]));
    dequantize(factors->dtype, factors->data, factors->shape[0], c_.rope.frequency_factors.data());
    c_.rope.scaling = RopeScaling::kNone;
    return {};
  }

  const GgufMetadata& metadata_;
  const std::vector<Tensor>& tensors_;
  std::string arch_;
  ModelConfig c_;
};

}  // namespace

Result<ModelConfig> gguf_config(const GgufMetadata& metadata, const std::vector<Tensor>& tensors) {
  return ConfigReader(metadata, tensors).read();
}

}  // namespace fathom
