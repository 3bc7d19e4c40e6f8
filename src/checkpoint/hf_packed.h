// Weights that other quantisers have packed into 32-bit words, as tensors that kernels know. For a
// matrix X [out, in], b bits a code, group g of a row's weights to a scale (w = scale * (code -
// zero)):
//   pack-quantized  X.weight_packed [out, in b/32], elements from the low bits up, codes offset by
//                   half their range; X.weight_scale [out, in/g]; with zero points
//                   X.weight_zero_point [out b/32, in/g], packed along the rows; X.weight_shape
//   AWQ (GEMM)      X.qweight [in, out b/32] and X.qzeros [in/g, out b/32], the outputs of a word
//                   in the order 0 2 4 6 1 3 5 7; X.scales [in/g, out]
//   GPTQ            X.qweight [in b/32, out], X.qzeros [in/g, out b/32], X.scales [in/g, out] and
//                   X.g_idx [in], the group of each input
// They become I4 and I8 groups where those hold them exactly, and F16 otherwise (groups of other
// sizes, inputs in GPTQ's act-order).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/hf_quantization.h"
#include "tensor/tensor.h"

namespace fathom {

struct UnpackedTensors {
  std::vector<Tensor> tensors;                // packed ones replaced by X.weight
  std::vector<std::vector<std::byte>> owned;  // what those point to
};

// Reads all packed weights: opening such a checkpoint takes as long as copying it.
Result<UnpackedTensors> unpack_hf_tensors(const std::vector<Tensor>& tensors,
                                          const HfQuantization& quantization,
                                          const std::string& source);

}  // namespace fathom
