#include "checkpoint/random_checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <utility>

#include "base/nearest.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/model_tensors.h"
#include "checkpoint/validate.h"
#include "tensor/blocks.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

struct KnownShape {
  std::string_view name;
  std::string_view config;  // of the published config.json, what the engine reads
};

constexpr std::array<KnownShape, 4> kShapes{{
    {"distill-1.5b", R"({"architectures": ["Qwen2ForCausalLM"], "vocab_size": 151936,
      "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
      "num_attention_heads": 12, "num_key_value_heads": 2, "max_position_embeddings": 131072,
      "rms_norm_eps": 1e-06, "rope_theta": 10000, "tie_word_embeddings": false})"},
    {"lite-6.7b", R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 32256,
      "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
      "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 16384,
      "rms_norm_eps": 1e-06, "rope_theta": 100000, "tie_word_embeddings": false,
      "rope_scaling": {"factor": 4.0, "type": "linear"}})"},
    {"v2-lite-16b", R"({"architectures": ["DeepseekV2ForCausalLM"], "vocab_size": 102400,
      "hidden_size": 2048, "intermediate_size": 10944, "num_hidden_layers": 27,
      "num_attention_heads": 16, "num_key_value_heads": 16, "max_position_embeddings": 163840,
      "rms_norm_eps": 1e-06, "rope_theta": 10000, "tie_word_embeddings": false,
      "kv_lora_rank": 512, "q_lora_rank": null, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
      "v_head_dim": 128, "n_routed_experts": 64, "num_experts_per_tok": 6, "n_shared_experts": 2,
      "moe_intermediate_size": 1408, "first_k_dense_replace": 1, "moe_layer_freq": 1,
      "norm_topk_prob": false, "routed_scaling_factor": 1.0, "scoring_func": "softmax",
      "topk_method": "greedy", "rope_scaling": {"type": "yarn", "factor": 40, "beta_fast": 32,
      "beta_slow": 1, "mscale": 0.707, "mscale_all_dim": 0.707,
      "original_max_position_embeddings": 4096}})"},
    {"v3-slice", R"({"architectures": ["DeepseekV3ForCausalLM"], "vocab_size": 129280,
      "hidden_size": 7168, "intermediate_size": 18432, "num_hidden_layers": 2,
      "num_attention_heads": 128, "num_key_value_heads": 128, "max_position_embeddings": 163840,
      "rms_norm_eps": 1e-06, "rope_theta": 10000, "tie_word_embeddings": false,
      "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
      "v_head_dim": 128, "n_routed_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": 1,
      "moe_intermediate_size": 2048, "first_k_dense_replace": 1, "moe_layer_freq": 1, "n_group": 8,
      "topk_group": 4, "norm_topk_prob": true, "routed_scaling_factor": 2.5,
      "scoring_func": "sigmoid", "topk_method": "noaux_tc", "num_nextn_predict_layers": 0,
      "rope_scaling": {"type": "yarn", "factor": 40, "beta_fast": 32, "beta_slow": 1,
      "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096}})"},
}};

std::unexpected<Error> unknown_shape(std::string_view shape) {
  auto nearest = kShapes;
  std::ranges::sort(nearest, {}, [shape](const KnownShape& known) {
    return std::pair(edits_between(shape, known.name), known.name);
  });
  return usage_error("There is no shape \"{}\". The nearest is {}; the others are {}, {} and {}.",
                     shape, nearest[0].name, nearest[1].name, nearest[2].name, nearest[3].name);
}

// Norms are ones. Matrices are views of `blocks_`, other F32 tensors of `floats_`; both repeat a
// short pattern, because drawing half a GB of numbers takes seconds. Each tensor begins elsewhere
// in the pattern and weights are 0 on average: otherwise layers that are all alike would turn every
// token's activations the same way, and routers would send all tokens to the same experts.
class RandomCheckpoint final : public Checkpoint {
 public:
  RandomCheckpoint(const ModelConfig& config, std::string_view shape, int group)
      : config_(config), path_(shape), tensors_(tensors_of(config_, TensorTypes{})) {
    config_.model_name = group == 32
                             ? fmt::format("{} (random weights)", shape)
                             : fmt::format("{} (random weights in groups of {})", shape, group);
    int64_t most_block_bytes = 0;
    int64_t most_long_bytes = 0;
    int64_t most_floats = 0;
    for (Tensor& tensor : tensors_) {
      if (tensor.dtype != DType::kQ4_0) {
        most_floats = std::max(most_floats, tensor.shape.elements());
      } else if (group > 32 && tensor.shape[tensor.shape.rank() - 1] % group == 0) {
        tensor.dtype = group == 64 ? DType::kI4_64 : DType::kI4_128;
        tensor.bytes = byte_size(tensor.dtype, tensor.shape.elements());
        most_long_bytes = std::max(most_long_bytes, tensor.bytes);
      } else {
        most_block_bytes = std::max(most_block_bytes, tensor.bytes);
      }
    }
    if (most_block_bytes > 0) blocks_ = random_blocks<blocks::Q4_0>(most_block_bytes);
    if (most_long_bytes > 0) {
      long_blocks_ = group == 64 ? random_blocks<blocks::Int4<64>>(most_long_bytes)
                                 : random_blocks<blocks::Int4<128>>(most_long_bytes);
    }
    fill_floats(most_floats);
    std::minstd_rand random(3);
    for (Tensor& tensor : tensors_) tensor.data = data_of(tensor, random());
  }

  const ModelConfig& config() const override { return config_; }
  const TextSource& text() const override { return text_; }
  const GenerationDefaults& generation() const override { return generation_; }
  const std::filesystem::path& path() const override { return path_; }
  std::string_view format() const override { return "random weights"; }
  const std::vector<Tensor>& tensors() const override { return tensors_; }

 private:
  template <class Block>
  static std::unique_ptr<std::byte[]> random_blocks(int64_t bytes) {
    std::minstd_rand random(1);
    std::uniform_real_distribution<float> scale(0.003F, 0.006F);
    std::vector<Block> pattern(kPattern);
    for (Block& block : pattern) {
      const uint16_t d = float_to_half(scale(random));
      block.d = {static_cast<uint8_t>(d), static_cast<uint8_t>(d >> 8)};
      for (uint8_t& codes : block.qs) {  // 1 to 15 stand for -7 to 7
        codes = static_cast<uint8_t>((1 + random() % 15) | (1 + random() % 15) << 4);
      }
    }
    constexpr auto kWhole = static_cast<int64_t>(kPattern * sizeof(Block));
    const int64_t all = bytes + kWhole;
    std::unique_ptr<std::byte[]> filled(new std::byte[static_cast<size_t>(all)]);
    for (int64_t at = 0; at < all; at += kWhole) {
      std::memcpy(filled.get() + at, pattern.data(),
                  static_cast<size_t>(std::min(kWhole, all - at)));
    }
    return filled;
  }

  void fill_floats(int64_t count) {
    std::minstd_rand random(2);
    std::normal_distribution<float> normal(0.0F, 0.02F);
    floats_.resize(static_cast<size_t>(count) + kPattern);
    for (float& value : floats_) value = normal(random);
    ones_.assign(static_cast<size_t>(count), 1.0F);
  }

  const std::byte* data_of(const Tensor& tensor, size_t random) const {
    const size_t begin = random % kPattern;
    if (tensor.dtype == DType::kQ4_0) return blocks_.get() + begin * sizeof(blocks::Q4_0);
    if (tensor.dtype == DType::kI4_64) return long_blocks_.get() + begin * sizeof(blocks::Int4<64>);
    if (tensor.dtype == DType::kI4_128) {
      return long_blocks_.get() + begin * sizeof(blocks::Int4<128>);
    }
    const bool norm = tensor.name.ends_with("norm.weight");
    return reinterpret_cast<const std::byte*>(norm ? ones_.data() : floats_.data() + begin);
  }

  // Blocks, and floats: a prime, so that a matrix's rows fall into it differently each time.
  static constexpr size_t kPattern = 262'139;

  ModelConfig config_;
  std::filesystem::path path_;  // the shape's name: there is no file
  TextSource text_;
  GenerationDefaults generation_;
  std::vector<Tensor> tensors_;
  std::unique_ptr<std::byte[]> blocks_;       // of Q4_0
  std::unique_ptr<std::byte[]> long_blocks_;  // of groups of 64 or 128
  std::vector<float> floats_;
  std::vector<float> ones_;
};

}  // namespace

Result<std::unique_ptr<Checkpoint>> make_random_checkpoint(std::string_view shape, int group) {
  const auto known = std::ranges::find(kShapes, shape, &KnownShape::name);
  if (known == kShapes.end()) return unknown_shape(shape);
  if (group != 32 && group != 64 && group != 128) {
    return usage_error("Groups of {} weights are none of 32, 64 and 128.", group);
  }
  FATHOM_TRY(const ModelConfig config, parse_hf_config(known->config, shape));
  FATHOM_CHECK(validate_config(config, shape));
  auto checkpoint = std::make_unique<RandomCheckpoint>(config, shape, group);
  FATHOM_CHECK(validate_tensors(config, checkpoint->tensors(), shape));
  return checkpoint;
}

}  // namespace fathom
