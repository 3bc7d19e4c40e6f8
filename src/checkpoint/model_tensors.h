// Every tensor that a model of some configuration has, known before there is a file: names, types
// and shapes as Checkpoint hands them out, without data. For checkpoints that are made up, and for
// planning.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "checkpoint/model_config.h"
#include "tensor/tensor.h"

namespace fathom {

// How a checkpoint stores its tensors.
struct TensorTypes {
  DType matrices = DType::kQ4_0;
  DType vocabulary = DType::kQ4_0;  // embedding and output head
  DType routers = DType::kF32;
  DType vectors = DType::kF32;  // norms and biases
  bool split_latent = true;     // MLA's k_b_proj and v_b_proj, as GGUF has them, not kv_b_proj
  bool mtp = false;             // multi-token prediction layers, where the model has them
  // FP8's scales as tensors of their own (NAME_scale_inv), as DeepSeek-V3's files have them.
  bool scale_tensors = false;
  // Of each layer's routed experts only the first is listed: the others are like it.
  bool one_expert = false;
};

// "q4_0" and "q8_0" as GGUF files are, "bf16" and "fp8" (DeepSeek-V3's) as Hugging Face's are;
// nothing for another name.
std::optional<TensorTypes> tensor_types(std::string_view precision);

// Sorted by name. Where a matrix's rows are no whole blocks of a quantised type, it is F16.
std::vector<Tensor> tensors_of(const ModelConfig& config, const TensorTypes& types);

}  // namespace fathom
