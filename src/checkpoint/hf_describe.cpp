#include "checkpoint/hf_describe.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "checkpoint/gguf_keys.h"
#include "checkpoint/hf_config.h"

namespace fathom {

namespace {

using Json = nlohmann::ordered_json;

struct Names {
  Family family;
  const char* architecture;
  const char* model_type;
};
constexpr std::array<Names, 6> kNames{
    {{Family::kLlama, "LlamaForCausalLM", "llama"},
     {Family::kQwen2, "Qwen2ForCausalLM", "qwen2"},
     {Family::kQwen3, "Qwen3ForCausalLM", "qwen3"},
     {Family::kDeepseekMoe, "DeepseekForCausalLM", "deepseek"},
     {Family::kDeepseekV2, "DeepseekV2ForCausalLM", "deepseek_v2"},
     {Family::kDeepseekV3, "DeepseekV3ForCausalLM", "deepseek_v3"}}};

// A float as a person would write it: 1e-5 and not 9.999999747378752e-06.
double shortest(float value) {
  return std::stod(fmt::format("{}", value));
}

// Llama 3's parameters from the divisors that a converter made of them.
std::optional<RopeConfig> llama3_of(const RopeConfig& rope, int64_t rotated, int64_t context) {
  RopeConfig guess = rope;
  guess.frequency_factors.clear();
  guess.scaling = RopeScaling::kLlama3;
  for (const float divisor : rope.frequency_factors) {
    guess.factor = std::max(guess.factor, divisor);
  }
  guess.low_freq_factor = 1;
  guess.high_freq_factor = 4;
  const auto fits = [&] {
    const std::vector<float> divisors = llama3_divisors(guess, rotated);
    for (size_t i = 0; i < divisors.size(); ++i) {
      if (std::fabs(divisors[i] / rope.frequency_factors[i] - 1) > 1e-4F) return false;
    }
    return true;
  };
  // The original context is a power of two; all published models have 8192.
  for (int64_t original = 8192; original <= context; original *= 2) {
    guess.original_context = original;
    if (fits()) return guess;
  }
  for (int64_t original = 4096; original >= 16; original /= 2) {
    guess.original_context = original;
    if (fits()) return guess;
  }
  return std::nullopt;
}

Json yarn_json(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  Json json = {{"type", "yarn"},
               {"rope_type", "yarn"},
               {"factor", shortest(rope.factor)},
               {"original_max_position_embeddings", rope.original_context},
               {"beta_fast", shortest(rope.beta_fast)},
               {"beta_slow", shortest(rope.beta_slow)}};
  const double log_factor = rope.factor > 1 ? std::log(static_cast<double>(rope.factor)) : 0;
  if (!config.is_mla()) {
    json["attention_factor"] = shortest(rope.attention_factor);
  } else if (log_factor > 0) {
    const auto mscale = [&](double value) {  // the m that 1 + 0.1 m ln(factor) is the value of
      return std::round((value - 1) / (0.1 * log_factor) * 1e5) / 1e5;
    };
    json["mscale"] = mscale(static_cast<double>(rope.attention_factor) * rope.softmax_mscale);
    json["mscale_all_dim"] = mscale(rope.softmax_mscale);
  }
  return json;
}

Result<Json> rope_json(const Checkpoint& checkpoint) {
  const ModelConfig& config = checkpoint.config();
  RopeConfig rope = config.rope;
  if (!rope.frequency_factors.empty()) {
    const auto guess = llama3_of(rope, config.head_dim, config.context);
    if (!guess) {
      return fail(
          "{}: its rope frequencies are divided in a way (rope_freqs.weight) that config.json "
          "cannot say.",
          checkpoint.path().string());
    }
    rope = *guess;
  }
  switch (rope.scaling) {
    case RopeScaling::kNone:
      return Json(nullptr);
    case RopeScaling::kLinear:
      return Json{{"type", "linear"}, {"rope_type", "linear"}, {"factor", shortest(rope.factor)}};
    case RopeScaling::kLlama3:
      return Json{{"rope_type", "llama3"},
                  {"factor", shortest(rope.factor)},
                  {"low_freq_factor", shortest(rope.low_freq_factor)},
                  {"high_freq_factor", shortest(rope.high_freq_factor)},
                  {"original_max_position_embeddings", rope.original_context}};
    case RopeScaling::kYarn:
      return yarn_json(config);
  }
  return Json(nullptr);
}

void add_mla(const MlaConfig& mla, Json& json) {
  json["q_lora_rank"] = mla.q_lora_rank > 0 ? Json(mla.q_lora_rank) : Json(nullptr);
  json["kv_lora_rank"] = mla.kv_lora_rank;
  json["qk_nope_head_dim"] = mla.nope_head_dim;
  json["qk_rope_head_dim"] = mla.rope_head_dim;
  json["v_head_dim"] = mla.v_head_dim;
}

void add_moe(const ModelConfig& config, Json& json) {
  const MoeConfig& moe = config.moe;
  const bool v3 = config.family == Family::kDeepseekV3;
  json["n_routed_experts"] = moe.experts;
  json["n_shared_experts"] = moe.shared_experts;
  json["num_experts_per_tok"] = moe.experts_per_token;
  json["moe_intermediate_size"] = moe.expert_hidden;
  json["first_k_dense_replace"] = moe.first_dense_layers;
  json["moe_layer_freq"] = moe.layer_frequency;
  json["routed_scaling_factor"] = shortest(moe.weight_scale);
  json["norm_topk_prob"] = moe.normalize_weights;
  json["scoring_func"] = moe.scoring == RouterScoring::kSigmoid ? "sigmoid" : "softmax";
  json["topk_method"] = v3 ? "noaux_tc" : moe.groups > 1 ? "group_limited_greedy" : "greedy";
  json["n_group"] = moe.groups;
  json["topk_group"] = moe.groups_per_token;
}

// Biases are the family's, or, for a Llama, all four of its attention.
Status check_biases(const Checkpoint& checkpoint) {
  const ModelConfig& config = checkpoint.config();
  const bool output_bias = checkpoint.find("model.layers.0.self_attn.o_proj.bias") != nullptr;
  const bool fits = config.family == Family::kQwen2 ? config.attention_bias && !output_bias
                                                    : config.attention_bias == output_bias;
  if (fits) return {};
  return fail("{}: config.json cannot say which of the attention's projections have biases here.",
              checkpoint.path().string());
}

}  // namespace

Result<std::string> hf_config_json(const Checkpoint& checkpoint, std::string_view stored) {
  const ModelConfig& c = checkpoint.config();
  FATHOM_CHECK(check_biases(checkpoint));
  const auto names = std::ranges::find(kNames, c.family, &Names::family);
  Json json = {{"architectures", Json::array({names->architecture})},
               {"model_type", names->model_type},
               {"vocab_size", c.vocab_size},
               {"hidden_size", c.hidden_size},
               {"intermediate_size", c.intermediate_size},
               {"num_hidden_layers", c.layers},
               {"num_attention_heads", c.heads},
               {"num_key_value_heads", c.kv_heads},
               {"max_position_embeddings", c.context},
               {"hidden_act", "silu"},
               {"rms_norm_eps", shortest(c.norm_eps)},
               {"rope_theta", shortest(c.rope.theta)},
               {"tie_word_embeddings", c.tied_embeddings},
               {"attention_bias", c.attention_bias},
               {"torch_dtype", stored},
               {"use_cache", true}};
  FATHOM_TRY(json["rope_scaling"], rope_json(checkpoint));
  if (c.family == Family::kQwen2 || c.family == Family::kQwen3) json["use_sliding_window"] = false;
  if (c.is_mla()) {
    add_mla(c.mla, json);
  } else {
    json["head_dim"] = c.head_dim;
  }
  if (c.is_moe()) add_moe(c, json);
  if (c.family == Family::kDeepseekV3) {
    json["num_nextn_predict_layers"] = c.mtp_layers;
    json["rope_interleave"] = true;
  }
  const auto& ends = checkpoint.generation().eos_tokens;
  if (ends.size() == 1) json["eos_token_id"] = ends.front();
  if (ends.size() > 1) json["eos_token_id"] = ends;
  const auto& vocabulary = checkpoint.text().gguf;
  if (vocabulary && vocabulary->bos_token) json["bos_token_id"] = *vocabulary->bos_token;
  std::string text = json.dump(2) + "\n";
  FATHOM_CHECK(parse_hf_config(text, "the new config.json"));
  return text;
}

std::string hf_generation_json(const GenerationDefaults& generation) {
  Json json = Json::object();
  if (!generation.eos_tokens.empty()) json["eos_token_id"] = generation.eos_tokens;
  if (generation.temperature || generation.top_p || generation.top_k) json["do_sample"] = true;
  if (generation.temperature) json["temperature"] = shortest(*generation.temperature);
  if (generation.top_p) json["top_p"] = shortest(*generation.top_p);
  if (generation.top_k) json["top_k"] = *generation.top_k;
  return json.empty() ? std::string() : json.dump(2) + "\n";
}

}  // namespace fathom
