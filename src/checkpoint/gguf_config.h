// ModelConfig from GGUF metadata, as llama.cpp's converter writes it (convert_hf_to_gguf.py) and
// its models read it, for the architectures llama, qwen2, qwen3, deepseek and deepseek2.
//
// Rope: the converter permutes q and k of llama and deepseek so that pairs lie side by side;
// deepseek2's pairs do from the start; qwen's keep halves. YaRN of deepseek2 stores one number,
// yarn_log_multiplier = 0.1 * mscale_all_dim: cos and sin are not scaled (mscale equals
// mscale_all_dim in every released model), the softmax by (1 + multiplier * ln(factor))^2.
#pragma once

#include <vector>

#include "base/result.h"
#include "checkpoint/gguf_metadata.h"
#include "checkpoint/model_config.h"
#include "tensor/tensor.h"

namespace fathom {

// `tensors` as in the file, under GGUF's names: some facts stand nowhere else (tied embeddings,
// biases, rope_freqs.weight).
Result<ModelConfig> gguf_config(const GgufMetadata& metadata, const std::vector<Tensor>& tensors);

}  // namespace fathom
