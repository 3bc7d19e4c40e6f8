// What a checkpoint says about its model, in one form for every source (a Hugging Face config.json
// or GGUF metadata). Read once, validated, then immutable. Names follow Hugging Face's configs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

enum class Family { kLlama, kQwen2, kQwen3, kDeepseekMoe, kDeepseekV2, kDeepseekV3 };
std::string_view name(Family family);  // "llama", "qwen2", ..., "deepseek_v3"

// The product's tiers: V1 is sparse (mixture of experts), Lite is dense, Nano is at most 1B dense.
enum class Tier { kV1, kLite, kNano };
std::string_view name(Tier tier);

enum class RopeLayout {
  kHalves,       // element i is paired with i + dim/2 (Hugging Face's Llama and Qwen)
  kInterleaved,  // element 2i is paired with 2i + 1 (DeepSeek-V2/V3; GGUF's permuted Llama)
};

enum class RopeScaling { kNone, kLinear, kLlama3, kYarn };

struct RopeConfig {
  float theta = 10000.0F;
  RopeLayout layout = RopeLayout::kHalves;
  RopeScaling scaling = RopeScaling::kNone;
  float factor = 1.0F;
  int64_t original_context = 0;
  // llama3
  float low_freq_factor = 1.0F;
  float high_freq_factor = 4.0F;
  // YaRN (Peng et al. 2023); mscale as in DeepSeek-V2's modelling file. cos and sin are scaled by
  // attention_factor; the softmax scale by softmax_mscale squared.
  float beta_fast = 32.0F;
  float beta_slow = 1.0F;
  float attention_factor = 1.0F;
  float softmax_mscale = 1.0F;
  // Explicit divisors for each frequency (GGUF's rope_freqs.weight); empty: none.
  std::vector<float> frequency_factors;
};

enum class RouterScoring { kSoftmax, kSigmoid };

struct MoeConfig {
  int64_t experts = 0;  // routed experts; 0: a dense model
  int64_t experts_per_token = 0;
  int64_t shared_experts = 0;
  int64_t expert_hidden = 0;  // intermediate size of one routed expert
  int64_t first_dense_layers = 0;
  int64_t layer_frequency = 1;  // layer l is sparse if l >= first_dense_layers and l % this == 0
  RouterScoring scoring = RouterScoring::kSoftmax;
  bool correction_bias = false;  // V3: selection by score + bias, weights from the score alone
  int64_t groups = 1;            // group-limited routing: experts in `groups` equal groups,
  int64_t groups_per_token = 1;  // of which this many may be used by a token
  // How a group is scored: V2 takes its best expert, V3 the sum of its two best.
  bool group_score_top2 = false;
  bool normalize_weights = false;  // gates divided by their sum
  float weight_scale = 1.0F;       // routed_scaling_factor
};

struct MlaConfig {
  int64_t kv_lora_rank = 0;  // 0: not MLA
  int64_t q_lora_rank = 0;   // 0: the query is not factored
  int64_t nope_head_dim = 0;
  int64_t rope_head_dim = 0;
  int64_t v_head_dim = 0;
};

struct ModelConfig {
  Family family = Family::kLlama;
  std::string architecture;  // as the file spells it: "DeepseekV3ForCausalLM", "deepseek2"
  std::string model_name;    // general.name or the directory's; may be empty

  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;  // of the dense feed-forward layers
  int64_t layers = 0;             // without MTP layers
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;  // of q and k; for MLA nope + rope
  int64_t context = 0;   // max_position_embeddings
  float norm_eps = 1e-5F;
  bool tied_embeddings = false;
  bool attention_bias = false;  // q, k, v have biases (o has one where the tensor is there)
  bool qk_norm = false;         // RMS norm over each head of q and k (Qwen3)
  int64_t mtp_layers = 0;       // DeepSeek-V3's multi-token prediction layers after the last one

  RopeConfig rope;
  MoeConfig moe;
  MlaConfig mla;

  bool is_moe() const { return moe.experts > 0; }
  bool is_mla() const { return mla.kv_lora_rank > 0; }
  bool is_sparse_layer(int64_t layer) const {
    return is_moe() && layer >= moe.first_dense_layers && layer % moe.layer_frequency == 0;
  }
};

}  // namespace fathom
