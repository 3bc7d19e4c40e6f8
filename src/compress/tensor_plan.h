// Which tensor becomes what. Norms, biases and the router keep their values (F32 in a GGUF file, as
// they are elsewhere); so do the up-projections of latent attention, in 8 bits where matrices have
// 4, because calibration does not see their input.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "compress/options.h"

namespace fathom {

enum class OutputFormat {
  kGguf,
  kHuggingFace,  // packed matrices as compressed-tensors has them
  kAwq,          // a Hugging Face directory, packed as AutoAWQ does
};

enum class TensorRole { kEmbedding, kHead, kVector, kRouter, kLatentUp, kMatrix, kOther };
TensorRole role_of(const Tensor& tensor);

// A type whose values stand for themselves, without scales.
constexpr bool is_plain(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

struct PlannedTensor {
  const Tensor* source = nullptr;  // the checkpoint's
  TensorRole role = TensorRole::kOther;
  DType target = DType::kF32;
  bool as_is = false;  // its bytes are copied
};

// One entry for each of the checkpoint's tensors, in their order. Fails (kUsage) where the options
// contradict each other, the format or the shapes; and where the source is quantised already,
// unless that is asked for or nothing is lost by it.
Result<std::vector<PlannedTensor>> plan_tensors(const Checkpoint& checkpoint,
                                                const QuantizeOptions& options,
                                                OutputFormat format);

}  // namespace fathom
