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

struct HfTensors {
  std::vector<Tensor> tensors;  // sorted by name
  // Scales that the file does not align for float; block_scales may point here.
  std::vector<std::vector<float>> owned_scales;
};

// Cuts fused experts (model.layers.L.mlp.experts.{gate_up,down}_proj, [experts, rows, cols]) into
// one tensor each, and points block_scales of each F8E4M3 tensor X to X_scale_inv.
Result<HfTensors> prepare_hf_tensors(std::vector<Tensor> tensors, const std::string& source);

}  // namespace fathom
