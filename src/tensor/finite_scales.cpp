#include "tensor/finite_scales.h"

#include <cmath>
#include <cstring>

#include "tensor/dequantize.h"

namespace fathom {

namespace {

// Where a block format keeps its half-precision scales: offsets in bytes, -1 if it has no second.
struct ScaleOffsets {
  int first = 0;
  int second = -1;
};

ScaleOffsets scale_offsets(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108, -1};
    case DType::kQ6_K:
      return {208, -1};
    default:
      return {0, -1};
  }
}

uint16_t load_u16(const std::byte* data) {
  uint16_t bits = 0;
  std::memcpy(&bits, data, sizeof bits);
  return bits;
}

// True where the value is infinite or NaN.
bool is_bad(DType dtype, const std::byte* data) {
  switch (dtype) {
    case DType::kF32: {
      float value = 0;
      std::memcpy(&value, data, sizeof value);
      return !std::isfinite(value);
    }
    case DType::kF16:
      return (load_u16(data) & 0x7c00U) == 0x7c00U;
    case DType::kBF16:
      return (load_u16(data) & 0x7f80U) == 0x7f80U;
    case DType::kF8E4M3:
      return (std::to_integer<unsigned>(*data) & 0x7fU) == 0x7fU;
    case DType::kI8Row:
      return false;
    default: {
      const ScaleOffsets offsets = scale_offsets(dtype);
      return (load_u16(data + offsets.first) & 0x7c00U) == 0x7c00U ||
             (offsets.second >= 0 && (load_u16(data + offsets.second) & 0x7c00U) == 0x7c00U);
    }
  }
}

}  // namespace

Status check_finite_scales(const Tensor& tensor, int64_t row_begin, int64_t rows) {
  const DTypeInfo& type = info(tensor.dtype);
  if (!type.computable || tensor.shape.rank() == 0) return {};
  const int64_t cols = tensor.shape[tensor.shape.rank() - 1];
  const int64_t blocks_per_row = cols / type.block_elements;
  const std::byte* data = tensor.data + row_begin * blocks_per_row * type.block_bytes;
  for (int64_t i = 0; i < rows * blocks_per_row; ++i, data += type.block_bytes) {
    if (is_bad(tensor.dtype, data)) {
      return fail(
          "the tensor {} ({}) has a {} that is NaN or infinite in row {}: the file is "
          "damaged or was badly converted; fetch it again",
          tensor.name, type.name, type.quantized ? "block scale" : "value",
          row_begin + i / blocks_per_row);
    }
  }
  if (tensor.block_scales == nullptr || tensor.shape.rank() != 2 || rows == 0) return {};
  if (tensor.dtype == DType::kI8Row) {
    for (int64_t row = row_begin; row < row_begin + rows; ++row) {
      if (std::isfinite(tensor.block_scales[row])) continue;
      return fail(
          "the tensor {} has a scale that is {} in row {}: the file is damaged or was badly "
          "converted; fetch it again",
          tensor.name, tensor.block_scales[row], row);
    }
    return {};
  }

  constexpr int64_t kBlock = 128;
  const int64_t scale_cols = (cols + kBlock - 1) / kBlock;
  const int64_t begin = row_begin / kBlock * scale_cols;
  const int64_t end = ((row_begin + rows - 1) / kBlock + 1) * scale_cols;
  for (int64_t i = begin; i < end; ++i) {
    if (!std::isfinite(tensor.block_scales[i])) {
      return fail(
          "the tensor {} has a block scale that is {} (block row {}, block column {}): "
          "the file is damaged or was badly converted; fetch it again",
          tensor.name, tensor.block_scales[i], i / scale_cols, i % scale_cols);
    }
  }
  return {};
}

Status check_finite_scales(const Tensor& tensor) {
  if (tensor.shape.rank() == 0) return {};
  const int64_t cols = tensor.shape[tensor.shape.rank() - 1];
  return check_finite_scales(tensor, 0, cols == 0 ? 0 : tensor.shape.elements() / cols);
}

}  // namespace fathom
