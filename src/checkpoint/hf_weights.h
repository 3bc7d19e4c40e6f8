// The tensors of a Hugging Face directory as the model wants them: fused experts cut into one
// tensor each, FP8 weights with their scales attached, sorted by name.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace fathom {

struct HfWeights {
  std::vector<MappedFile> files;
  std::vector<Tensor> tensors;  // as in the files
};

// Maps model.safetensors, or the shards that model.safetensors.index.json names.
Result<HfWeights> open_hf_weights(const std::filesystem::path& directory);

// model.layers.L.mlp.experts.{gate_up,down}_proj, [experts, rows, cols], one tensor an expert.
std::vector<Tensor> split_fused_experts(std::vector<Tensor> tensors);

// Points block_scales of each F8E4M3 tensor X to X_scale_inv. Tensors sorted by name. Scales that
// are not aligned for float are copied into `owned`.
Status attach_block_scales(std::vector<Tensor>& sorted, std::vector<std::vector<float>>& owned,
                           const std::string& source);

}  // namespace fathom
