// Element types of stored tensors. Quantised types store whole blocks of consecutive elements of a
// row; their layouts are those of GGUF (ggml's ggml-common.h is the specification).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fathom {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF8E4M3,  // DeepSeek-V3: one F32 scale for each 128 x 128 block, in a tensor of its own
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  // Groups of our own layout (blocks.h): what AWQ, GPTQ and our quantiser make. Groups of 32
  // without zero points are Q4_0 and Q8_0.
  kI4_64,    // symmetric INT4, one scale for each 64 elements
  kI4_128,   // for each 128
  kI4Z_32,   // INT4 with a scale and a zero point for each 32
  kI4Z_64,   // for each 64
  kI4Z_128,  // for each 128
  kI8_128,   // INT8, one scale for each 128
  kI8Row,    // INT8, one F32 scale for each row, in a tensor of its own; rows of whole 32s
  // Stored in checkpoints, never computed with.
  kF64,
  kI8,
  kI16,
  kI32,
  kI64,
  kU8,
  kBool,
};

struct DTypeInfo {
  std::string_view name;  // "F32", "Q4_K": what users see
  int block_elements;     // 1 for plain types
  int block_bytes;
  bool quantized;   // a block format
  bool computable;  // can be a weight
};

const DTypeInfo& info(DType dtype);
inline std::string_view name(DType dtype) {
  return info(dtype).name;
}

// Bytes of `elements` consecutive elements; elements must be whole blocks.
int64_t byte_size(DType dtype, int64_t elements);

}  // namespace fathom
