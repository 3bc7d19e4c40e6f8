// A low-rank adapter (LoRA, Hu et al. 2021) as PEFT saves one: adapter_config.json beside
// adapter_model.safetensors. Of a linear layer W it makes W + scale * B A, with A [rank, in] and
// B [out, rank]; scale is lora_alpha / rank, or lora_alpha / sqrt(rank) where use_rslora is set
// (Kalajdzievski 2023). rank_pattern and alpha_pattern may name modules with values of their own.
//
// What PEFT can do beyond that (DoRA, trained biases, whole modules or embeddings saved beside,
// base weights changed before training) is refused by name, since leaving it out would give another
// model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace fathom {

// Of one linear layer. Plain values: an adapter is small beside its model.
struct LoraMatrices {
  std::string module = {};  // the layer's name: its weight's without ".weight"
  int64_t rank = 0;
  int64_t in = 0;
  int64_t out = 0;
  std::vector<float> a = {};  // [rank, in]
  std::vector<float> b = {};  // [out, rank], the scale multiplied in
};

struct LoraAdapter {
  std::filesystem::path path = {};
  std::vector<LoraMatrices> modules = {};  // sorted by name
};

// A PEFT directory, as it stands there. Fails for a config or tensors that are not understood, and
// for values that are not finite.
Result<LoraAdapter> read_lora_adapter(const std::filesystem::path& directory);

// The same for a certain model: every module is one of its layers, of the same shape; rows of B are
// in the order of the checkpoint's rows (GGUF files hold q and k of some families permuted). Layers
// are those of attention, dense feed-forward, shared and routed experts.
Result<LoraAdapter> read_lora_adapter(const std::filesystem::path& directory,
                                      const Checkpoint& checkpoint);

// Of a layer that adapters may change, by its module's name; none where the checkpoint has no such
// layer. Stored whole or, as kv_b_proj of latent attention may be, in halves.
struct LayerShape {
  int64_t out = 0;
  int64_t in = 0;
};
std::optional<LayerShape> adaptable_shape(const Checkpoint& checkpoint, const std::string& module);

// kv_b_proj of latent attention works in halves, head by head, and some files hold it that way:
//   keys    W_UK^T [kv_lora_rank, nope], for which B and A change sides: a [rank, nope] is B's rows
//           of the head transposed, b [kv_lora_rank, rank] is A transposed
//   values  W_UV [v, kv_lora_rank]: a is A, b is B's rows of the head
LoraMatrices latent_key_part(const LoraMatrices& whole, const MlaConfig& dims, int64_t head);
LoraMatrices latent_value_part(const LoraMatrices& whole, const MlaConfig& dims, int64_t head);

// Where row r of a matrix of `heads` heads lies in a GGUF file that has them permuted, so that a
// pair of the rotation lies side by side.
int64_t permuted_rope_row(int64_t row, int64_t head_dim);
// Whether the checkpoint has the rows of this module permuted so.
bool has_permuted_rows(const ModelConfig& config, std::string_view module);

}  // namespace fathom
