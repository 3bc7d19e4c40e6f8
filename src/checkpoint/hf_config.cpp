#include "checkpoint/hf_config.h"

#include <array>
#include <string>

#include "base/json.h"
#include "base/quote.h"
#include "checkpoint/hf_quantization.h"
#include "checkpoint/hf_rope.h"
#include "checkpoint/json_fields.h"

namespace fathom {

namespace {

struct KnownArchitecture {
  std::string_view architecture;
  std::string_view model_type;
  Family family;
};
constexpr std::array<KnownArchitecture, 6> kKnown{
    {{"LlamaForCausalLM", "llama", Family::kLlama},
     {"Qwen2ForCausalLM", "qwen2", Family::kQwen2},
     {"Qwen3ForCausalLM", "qwen3", Family::kQwen3},
     {"DeepseekForCausalLM", "deepseek", Family::kDeepseekMoe},
     {"DeepseekV2ForCausalLM", "deepseek_v2", Family::kDeepseekV2},
     {"DeepseekV3ForCausalLM", "deepseek_v3", Family::kDeepseekV3}}};

class ConfigReader {
 public:
  explicit ConfigReader(const JsonFields& fields) : fields_(fields) {}

  Result<ModelConfig> read() {
    FATHOM_CHECK(read_family());
    FATHOM_CHECK(refuse_unsupported());
    FATHOM_TRY(c_.vocab_size, fields_.require_int("vocab_size"));
    FATHOM_TRY(c_.hidden_size, fields_.require_int("hidden_size"));
    FATHOM_TRY(c_.intermediate_size, fields_.require_int("intermediate_size"));
    FATHOM_TRY(c_.layers, fields_.require_int("num_hidden_layers"));
    FATHOM_TRY(c_.heads, fields_.require_int("num_attention_heads"));
    FATHOM_TRY(c_.kv_heads, fields_.int_or("num_key_value_heads", c_.heads));
    FATHOM_TRY(c_.context, fields_.int_or("max_position_embeddings", default_context()));
    FATHOM_TRY(c_.norm_eps, fields_.float_or("rms_norm_eps", 1e-6));
    FATHOM_TRY(c_.tied_embeddings, fields_.bool_or("tie_word_embeddings", false));
    FATHOM_TRY(c_.attention_bias, fields_.bool_or("attention_bias", c_.family == Family::kQwen2));
    c_.qk_norm = c_.family == Family::kQwen3;
    const bool mla = c_.family == Family::kDeepseekV2 || c_.family == Family::kDeepseekV3;
    FATHOM_CHECK(mla ? read_mla() : read_heads());
    if (mla || c_.family == Family::kDeepseekMoe) FATHOM_CHECK(read_moe());
    FATHOM_CHECK(read_layout());
    FATHOM_CHECK(read_hf_rope(fields_, c_));
    return c_;
  }

 private:
  Status read_family() {
    std::string architecture;
    if (const nlohmann::json* list = fields_.find("architectures")) {
      if (!list->is_array() || list->empty() || !list->front().is_string()) {
        return fail("{}: architectures should be a list of names", fields_.file());
      }
      architecture = list->front().get<std::string>();
    }
    FATHOM_TRY(const auto model_type, fields_.get_string("model_type"));
    for (const KnownArchitecture& known : kKnown) {
      if (architecture == known.architecture ||
          (architecture.empty() && model_type == known.model_type)) {
        c_.family = known.family;
        c_.architecture = known.architecture;
        return {};
      }
    }
    return fail(
        "{}: the architecture {} is not supported; supported are LlamaForCausalLM, "
        "Qwen2ForCausalLM, Qwen3ForCausalLM and Deepseek(V2|V3)ForCausalLM",
        fields_.file(), in_quotes(architecture.empty() ? model_type.value_or("") : architecture));
  }

  Status refuse_unsupported() {
    FATHOM_TRY(const auto activation, fields_.get_string("hidden_act"));
    if (activation.value_or("silu") != "silu") {
      return fail("{}: the activation {} is not supported, only silu", fields_.file(),
                  in_quotes(*activation));
    }
    FATHOM_TRY(const bool mlp_bias, fields_.bool_or("mlp_bias", false));
    if (mlp_bias) {
      return fail("{}: biases in the feed-forward layers (mlp_bias) are not supported",
                  fields_.file());
    }
    FATHOM_TRY(const bool sliding, fields_.bool_or("use_sliding_window", false));
    if (sliding) {
      return fail("{}: sliding-window attention (use_sliding_window) is not supported",
                  fields_.file());
    }
    return {};
  }

  int64_t default_context() const { return c_.family == Family::kQwen2 ? 32768 : 2048; }

  Status read_heads() {
    FATHOM_TRY(const auto head_dim, fields_.get_int("head_dim"));
    if (head_dim) {
      c_.head_dim = *head_dim;
    } else if (c_.family == Family::kQwen3) {
      c_.head_dim = 128;
    } else if (c_.heads < 1 || c_.hidden_size % c_.heads != 0) {
      return fail("{}: a hidden size of {} cannot be split among {} heads", fields_.file(),
                  c_.hidden_size, c_.heads);
    } else {
      c_.head_dim = c_.hidden_size / c_.heads;
    }
    return {};
  }

  Status read_mla() {
    MlaConfig& mla = c_.mla;
    FATHOM_TRY(mla.kv_lora_rank, fields_.int_or("kv_lora_rank", 512));
    // null says that the query is not factored; missing means the default, here as everywhere.
    FATHOM_TRY(mla.q_lora_rank,
               fields_.int_or("q_lora_rank", fields_.has("q_lora_rank") ? 0 : 1536));
    FATHOM_TRY(mla.nope_head_dim, fields_.int_or("qk_nope_head_dim", 128));
    FATHOM_TRY(mla.rope_head_dim, fields_.int_or("qk_rope_head_dim", 64));
    FATHOM_TRY(mla.v_head_dim, fields_.int_or("v_head_dim", 128));
    if (mla.kv_lora_rank < 1) {
      return fail("{}: kv_lora_rank is {}, expected at least 1", fields_.file(), mla.kv_lora_rank);
    }
    if (__builtin_add_overflow(mla.nope_head_dim, mla.rope_head_dim, &c_.head_dim)) {
      return fail("{}: qk_nope_head_dim is {}, which is absurd", fields_.file(), mla.nope_head_dim);
    }
    c_.kv_heads = c_.heads;
    FATHOM_TRY(const int64_t older, fields_.int_or("num_nextn_predict_layers", 0));
    FATHOM_TRY(c_.mtp_layers, fields_.int_or("num_mtp_layers", older));
    return {};
  }

  Status read_moe() {
    MoeConfig& moe = c_.moe;
    const bool v3 = c_.family == Family::kDeepseekV3;
    FATHOM_TRY(moe.experts, fields_.int_or("n_routed_experts", 0));
    if (moe.experts == 0) {
      FATHOM_TRY(moe.experts, fields_.int_or("num_local_experts", 0));
    }
    if (moe.experts == 0) return {};
    FATHOM_TRY(moe.experts_per_token, fields_.require_int("num_experts_per_tok"));
    FATHOM_TRY(moe.expert_hidden, fields_.require_int("moe_intermediate_size"));
    FATHOM_TRY(moe.shared_experts, fields_.int_or("n_shared_experts", 0));
    FATHOM_TRY(moe.first_dense_layers, fields_.int_or("first_k_dense_replace", v3 ? 3 : 0));
    FATHOM_TRY(moe.layer_frequency, fields_.int_or("moe_layer_freq", 1));
    FATHOM_TRY(moe.weight_scale, fields_.float_or("routed_scaling_factor", v3 ? 2.5 : 1.0));
    FATHOM_TRY(moe.normalize_weights, fields_.bool_or("norm_topk_prob", v3));
    return read_routing();
  }

  Status read_routing() {
    MoeConfig& moe = c_.moe;
    const bool v3 = c_.family == Family::kDeepseekV3;
    FATHOM_TRY(const auto scoring, fields_.get_string("scoring_func"));
    const std::string_view expected = v3 ? "sigmoid" : "softmax";
    if (scoring.value_or(std::string(expected)) != expected) {
      return fail("{}: the router's scoring_func {} is not supported for {}, only {}",
                  fields_.file(), in_quotes(*scoring), c_.architecture, expected);
    }
    FATHOM_TRY(const auto stored_method, fields_.get_string("topk_method"));
    const std::string method = stored_method.value_or(v3 ? "noaux_tc" : "greedy");
    const bool known = v3 ? method == "noaux_tc"
                          : method == "greedy" || (method == "group_limited_greedy" &&
                                                   c_.family == Family::kDeepseekV2);
    if (!known) {
      return fail("{}: the router's topk_method {} is not supported for {}", fields_.file(),
                  in_quotes(method), c_.architecture);
    }
    if (v3 || method == "group_limited_greedy") {
      FATHOM_TRY(moe.groups, fields_.int_or("n_group", 1));
      FATHOM_TRY(moe.groups_per_token, fields_.int_or("topk_group", moe.groups));
    }
    if (v3) {
      moe.scoring = RouterScoring::kSigmoid;
      moe.correction_bias = true;
      moe.group_score_top2 = true;
    } else if (c_.family == Family::kDeepseekMoe) {
      moe.weight_scale = 1.0F;  // the first generation knows no such factor
    }
    return {};
  }

  Status read_layout() {
    c_.rope.layout = c_.is_mla() ? RopeLayout::kInterleaved : RopeLayout::kHalves;
    if (c_.family == Family::kDeepseekV3) {
      FATHOM_TRY(const bool interleaved, fields_.bool_or("rope_interleave", true));
      if (!interleaved) c_.rope.layout = RopeLayout::kHalves;
    }
    return {};
  }

  const JsonFields& fields_;
  ModelConfig c_;
};

}  // namespace

Result<ModelConfig> parse_hf_config(std::string_view text, std::string_view file) {
  FATHOM_TRY(const nlohmann::json json, parse_json(text, file));
  if (!json.is_object()) return fail("{} should hold a JSON object", file);
  FATHOM_CHECK(read_hf_quantization(json, file));
  const JsonFields fields(json, file);
  return ConfigReader(fields).read();
}

}  // namespace fathom
