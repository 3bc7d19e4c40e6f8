#include "tensor/dequantize.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/assert.h"
#include "tensor/blocks.h"

namespace fathom {

static_assert(std::endian::native == std::endian::little,
              "checkpoints are little-endian and read in place");

float half_to_float(uint16_t bits) {
  // The half's exponent and mantissa, moved to where a float has them, make a float that is too
  // small by 2^112; one multiplication corrects it and normalises subnormals on the way.
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7fffU) << 13;
  if ((bits & 0x7c00U) == 0x7c00U) {  // infinity and NaN
    return std::bit_cast<float>(sign | 0x7f800000U | magnitude);
  }
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112F;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(scaled));
}

uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  const uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<uint16_t>(sign | 0x7e00U);   // NaN
  if (magnitude >= 0x477ff000U) return static_cast<uint16_t>(sign | 0x7c00U);  // rounds to 65536
  if (magnitude < 0x38800000U) {  // below 2^-14: subnormal; adding 0.5 lets the FPU round it
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000U));
  }
  const uint32_t odd = (magnitude >> 13) & 1U;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000U + 0xfffU + odd) >> 13));
}

uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<uint16_t>((bits >> 16) | 0x40U);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

float f8e4m3_to_float(uint8_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x80U) << 24;
  const uint32_t magnitude = bits & 0x7fU;
  if (magnitude == 0x7fU) return std::bit_cast<float>(sign | 0x7fc00000U);
  // As in half_to_float: exponent bias 7 against 127.
  const float scaled = std::bit_cast<float>(magnitude << 20) * 0x1p120F;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(scaled));
}

namespace {

float to_float(blocks::Half half) {
  return half_to_float(blocks::bits(half));
}

uint32_t load_u32(const std::array<uint8_t, 4>& bytes) {
  return std::bit_cast<uint32_t>(bytes);
}

void decode(const blocks::Q4_0& block, float* out) {
  const float d = to_float(block.d);
  for (size_t i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((block.qs[i] & 15) - 8) * d;
    out[i + 16] = static_cast<float>((block.qs[i] >> 4) - 8) * d;
  }
}

void decode(const blocks::Q4_1& block, float* out) {
  const float d = to_float(block.d);
  const float m = to_float(block.m);
  for (size_t i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(block.qs[i] & 15) * d + m;
    out[i + 16] = static_cast<float>(block.qs[i] >> 4) * d + m;
  }
}

void decode(const blocks::Q5_0& block, float* out) {
  const float d = to_float(block.d);
  const uint32_t qh = load_u32(block.qh);
  for (size_t i = 0; i < 16; ++i) {
    const int low = (block.qs[i] & 15) | static_cast<int>(((qh >> i) & 1U) << 4);
    const int high = (block.qs[i] >> 4) | static_cast<int>(((qh >> (i + 16)) & 1U) << 4);
    out[i] = static_cast<float>(low - 16) * d;
    out[i + 16] = static_cast<float>(high - 16) * d;
  }
}

void decode(const blocks::Q5_1& block, float* out) {
  const float d = to_float(block.d);
  const float m = to_float(block.m);
  const uint32_t qh = load_u32(block.qh);
  for (size_t i = 0; i < 16; ++i) {
    const int low = (block.qs[i] & 15) | static_cast<int>(((qh >> i) & 1U) << 4);
    const int high = (block.qs[i] >> 4) | static_cast<int>(((qh >> (i + 16)) & 1U) << 4);
    out[i] = static_cast<float>(low) * d + m;
    out[i + 16] = static_cast<float>(high) * d + m;
  }
}

void decode(const blocks::Q8_0& block, float* out) {
  const float d = to_float(block.d);
  for (size_t i = 0; i < 32; ++i) out[i] = static_cast<float>(block.qs[i]) * d;
}

// In Q2_K and Q3_K, 128 elements share 32 bytes: byte l holds elements l, l + 32, l + 64, l + 96.
void decode(const blocks::Q2_K& block, float* out) {
  const float d = to_float(block.d);
  const float dmin = to_float(block.dmin);
  for (size_t i = 0; i < 256; ++i) {
    const size_t half = i / 128;
    const size_t within = i % 128;
    const int q = (block.qs[half * 32 + within % 32] >> (2 * (within / 32))) & 3;
    const uint8_t scale = block.scales[i / 16];
    out[i] = d * static_cast<float>(scale & 15) * static_cast<float>(q) -
             dmin * static_cast<float>(scale >> 4);
  }
}

void decode(const blocks::Q3_K& block, float* out) {
  const float d = to_float(block.d);
  for (size_t i = 0; i < 256; ++i) {
    const size_t half = i / 128;
    const size_t within = i % 128;
    const int low = (block.qs[half * 32 + within % 32] >> (2 * (within / 32))) & 3;
    const int high = (block.hmask[i % 32] >> (i / 32)) & 1;
    const int q = low - (high != 0 ? 0 : 4);
    const float scale = d * static_cast<float>(blocks::unpack_q3(block.scales, i / 16) - 32);
    out[i] = scale * static_cast<float>(q);
  }
}

void decode(const blocks::Q4_K& block, float* out) {
  const float d = to_float(block.d);
  const float dmin = to_float(block.dmin);
  for (size_t group = 0; group < 8; ++group) {
    const auto [scale, min] = blocks::unpack_k4(block.scales, group);
    const float group_scale = d * static_cast<float>(scale);
    const float group_min = dmin * static_cast<float>(min);
    for (size_t i = 0; i < 32; ++i) {
      const uint8_t byte = block.qs[group / 2 * 32 + i];
      const int q = group % 2 == 0 ? byte & 15 : byte >> 4;
      out[group * 32 + i] = group_scale * static_cast<float>(q) - group_min;
    }
  }
}

void decode(const blocks::Q5_K& block, float* out) {
  const float d = to_float(block.d);
  const float dmin = to_float(block.dmin);
  for (size_t group = 0; group < 8; ++group) {
    const auto [scale, min] = blocks::unpack_k4(block.scales, group);
    const float group_scale = d * static_cast<float>(scale);
    const float group_min = dmin * static_cast<float>(min);
    for (size_t i = 0; i < 32; ++i) {
      const uint8_t byte = block.qs[group / 2 * 32 + i];
      const int low = group % 2 == 0 ? byte & 15 : byte >> 4;
      const int q = low | (((block.qh[i] >> group) & 1) << 4);
      out[group * 32 + i] = group_scale * static_cast<float>(q) - group_min;
    }
  }
}

void decode(const blocks::Q6_K& block, float* out) {
  const float d = to_float(block.d);
  for (size_t i = 0; i < 256; ++i) {
    const size_t half = i / 128;
    const size_t quarter = i % 128 / 32;
    const size_t l = i % 32;
    const uint8_t low_byte = block.ql[half * 64 + quarter % 2 * 32 + l];
    const int low = quarter < 2 ? low_byte & 15 : low_byte >> 4;
    const int high = (block.qh[half * 32 + l] >> (2 * quarter)) & 3;
    const float scale = d * static_cast<float>(block.scales[i / 16]);
    out[i] = scale * static_cast<float>((low | (high << 4)) - 32);
  }
}

template <size_t kBytes>
void decode_nibbles(const std::array<uint8_t, kBytes>& qs, int zero, float d, float* out) {
  for (size_t i = 0; i < kBytes; ++i) {
    out[2 * i] = static_cast<float>((qs[i] & 15) - zero) * d;
    out[2 * i + 1] = static_cast<float>((qs[i] >> 4) - zero) * d;
  }
}

template <size_t kElements>
void decode(const blocks::Int4<kElements>& block, float* out) {
  decode_nibbles(block.qs, 8, to_float(block.d), out);
}

template <size_t kElements>
void decode(const blocks::Int4Zero<kElements>& block, float* out) {
  decode_nibbles(block.qs, block.zero, to_float(block.d), out);
}

template <size_t kElements>
void decode(const blocks::Int8<kElements>& block, float* out) {
  const float d = to_float(block.d);
  for (size_t i = 0; i < kElements; ++i) out[i] = static_cast<float>(block.qs[i]) * d;
}

void decode(const blocks::Int8Row& block, float* out) {
  for (size_t i = 0; i < 32; ++i) out[i] = static_cast<float>(block.qs[i]);
}

template <typename Block>
void decode_blocks(DType dtype, const std::byte* data, int64_t elements, float* out) {
  const int64_t block_elements = info(dtype).block_elements;
  for (int64_t i = 0; i < elements; i += block_elements) {
    Block block;
    std::memcpy(&block, data, sizeof block);
    decode(block, out + i);
    data += sizeof block;
  }
}

template <typename Stored, typename Convert>
void decode_plain(const std::byte* data, int64_t elements, float* out, Convert convert) {
  for (int64_t i = 0; i < elements; ++i) {
    Stored value;
    std::memcpy(&value, data + i * static_cast<int64_t>(sizeof value), sizeof value);
    out[i] = convert(value);
  }
}

}  // namespace

void dequantize(DType dtype, const std::byte* data, int64_t elements, float* out) {
  FATHOM_ASSERT(elements % info(dtype).block_elements == 0);
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, data, static_cast<size_t>(elements) * sizeof(float));
      return;
    case DType::kF16:
      return decode_plain<uint16_t>(data, elements, out, half_to_float);
    case DType::kBF16:
      return decode_plain<uint16_t>(data, elements, out, bfloat16_to_float);
    case DType::kF8E4M3:
      return decode_plain<uint8_t>(data, elements, out, f8e4m3_to_float);
    case DType::kQ4_0:
      return decode_blocks<blocks::Q4_0>(dtype, data, elements, out);
    case DType::kQ4_1:
      return decode_blocks<blocks::Q4_1>(dtype, data, elements, out);
    case DType::kQ5_0:
      return decode_blocks<blocks::Q5_0>(dtype, data, elements, out);
    case DType::kQ5_1:
      return decode_blocks<blocks::Q5_1>(dtype, data, elements, out);
    case DType::kQ8_0:
      return decode_blocks<blocks::Q8_0>(dtype, data, elements, out);
    case DType::kQ2_K:
      return decode_blocks<blocks::Q2_K>(dtype, data, elements, out);
    case DType::kQ3_K:
      return decode_blocks<blocks::Q3_K>(dtype, data, elements, out);
    case DType::kQ4_K:
      return decode_blocks<blocks::Q4_K>(dtype, data, elements, out);
    case DType::kQ5_K:
      return decode_blocks<blocks::Q5_K>(dtype, data, elements, out);
    case DType::kQ6_K:
      return decode_blocks<blocks::Q6_K>(dtype, data, elements, out);
    case DType::kI4_64:
      return decode_blocks<blocks::Int4<64>>(dtype, data, elements, out);
    case DType::kI4_128:
      return decode_blocks<blocks::Int4<128>>(dtype, data, elements, out);
    case DType::kI4Z_32:
      return decode_blocks<blocks::Int4Zero<32>>(dtype, data, elements, out);
    case DType::kI4Z_64:
      return decode_blocks<blocks::Int4Zero<64>>(dtype, data, elements, out);
    case DType::kI4Z_128:
      return decode_blocks<blocks::Int4Zero<128>>(dtype, data, elements, out);
    case DType::kI8_128:
      return decode_blocks<blocks::Int8<128>>(dtype, data, elements, out);
    case DType::kI8Row:
      return decode_blocks<blocks::Int8Row>(dtype, data, elements, out);
    case DType::kF64:
    case DType::kI8:
    case DType::kI16:
    case DType::kI32:
    case DType::kI64:
    case DType::kU8:
    case DType::kBool:
      break;
  }
  FATHOM_ASSERT(info(dtype).computable);
}

void dequantize_rows(const Tensor& matrix, int64_t row_begin, int64_t rows, float* out) {
  FATHOM_ASSERT(matrix.shape.rank() >= 1);
  const int64_t cols = matrix.shape[matrix.shape.rank() - 1];
  const int64_t row_bytes = byte_size(matrix.dtype, cols);
  FATHOM_ASSERT(row_begin >= 0 && rows >= 0 && (row_begin + rows) * row_bytes <= matrix.bytes);
  dequantize(matrix.dtype, matrix.data + row_begin * row_bytes, rows * cols, out);
  if (matrix.block_scales == nullptr) return;
  if (matrix.dtype == DType::kI8Row) {
    for (int64_t row = 0; row < rows; ++row) {
      const float scale = matrix.block_scales[row_begin + row];
      for (int64_t col = 0; col < cols; ++col) out[row * cols + col] *= scale;
    }
    return;
  }

  constexpr int64_t kBlock = 128;
  const int64_t scale_cols = (cols + kBlock - 1) / kBlock;
  for (int64_t row = 0; row < rows; ++row) {
    const float* scales = matrix.block_scales + (row_begin + row) / kBlock * scale_cols;
    for (int64_t col = 0; col < cols; ++col) out[row * cols + col] *= scales[col / kBlock];
  }
}

}  // namespace fathom
