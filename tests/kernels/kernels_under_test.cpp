#include "kernels/kernels_under_test.h"

#include <cmath>
#include <cstring>

#include "kernels/cpu_features.h"
#include "kernels/packed/packed_kernels.h"
#include "tensor/dequantize.h"

namespace fathom::testing {
namespace {

void put_half(std::byte* at, float value) {
  const uint16_t bits = float_to_half(value);
  std::memcpy(at, &bits, sizeof bits);
}

struct HalfField {
  int offset;
  float size;  // typical magnitude
  bool negative_too;
};

std::vector<HalfField> half_fields(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
    case DType::kQ5_0:
      return {{0, 0.1F, true}};
    case DType::kI4_64:
    case DType::kI4_128:
    case DType::kI4Z_32:
    case DType::kI4Z_64:
    case DType::kI4Z_128:
      return {{0, 0.1F, true}};
    case DType::kQ8_0:
    case DType::kI8_128:
      return {{0, 0.01F, true}};
    case DType::kQ4_1:
    case DType::kQ5_1:
      return {{0, 0.1F, true}, {2, 0.8F, true}};
    case DType::kQ2_K:
      return {{80, 0.05F, true}, {82, 0.05F, true}};
    case DType::kQ3_K:
      return {{108, 0.01F, true}};
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {{0, 0.003F, true}, {2, 0.01F, true}};
    case DType::kQ6_K:
      return {{208, 0.0005F, true}};
    default:
      return {};
  }
}

bool has_zero_point(DType dtype) {
  return dtype == DType::kI4Z_32 || dtype == DType::kI4Z_64 || dtype == DType::kI4Z_128;
}

}  // namespace

std::vector<const VectorOps*> instruction_sets() {
  std::vector<const VectorOps*> sets;
  if (avx2_ops() != nullptr && cpu_has_avx2()) sets.push_back(avx2_ops());
  if (avx512_ops() != nullptr && cpu_has_avx512_vnni()) sets.push_back(avx512_ops());
  if (neon_ops() != nullptr && cpu_has_neon()) sets.push_back(neon_ops());
  if (neon_dotprod_ops() != nullptr && cpu_has_neon_dotprod()) sets.push_back(neon_dotprod_ops());
  if (neon_i8mm_ops() != nullptr && cpu_has_neon_i8mm()) sets.push_back(neon_i8mm_ops());
  if (emulated_avx512_ops() != nullptr) sets.push_back(emulated_avx512_ops());
  return sets;
}

std::vector<const VectorOps*> attention_sets() {
  std::vector<const VectorOps*> sets = instruction_sets();
  if (avx512_bf16_ops() != nullptr && cpu_has_avx512_bf16()) sets.push_back(avx512_bf16_ops());
  return sets;
}

std::vector<const VectorOps*> matmul_sets() {
  std::vector<const VectorOps*> sets = instruction_sets();
  if (amx_ops() != nullptr && cpu_has_amx()) sets.push_back(amx_ops());
  if (emulated_amx_ops() != nullptr) sets.push_back(emulated_amx_ops());
  return sets;
}

std::unique_ptr<Kernels> make_kernels(const VectorOps& ops, int threads) {
  return std::make_unique<PackedKernels>(ops, threads);
}

OwnedMatrix random_matrix(DType dtype, int64_t out, int64_t in, uint32_t seed) {
  OwnedMatrix matrix;
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> unit(0.5F, 1.5F);
  std::normal_distribution<float> normal;
  const int64_t bytes = byte_size(dtype, in) * out;
  matrix.bytes.resize(static_cast<size_t>(bytes));
  std::byte* data = matrix.bytes.data();
  if (info(dtype).quantized) {
    for (std::byte& b : matrix.bytes) b = static_cast<std::byte>(random() & 0xffU);
    const int block_bytes = info(dtype).block_bytes;
    for (int64_t at = 0; at < bytes; at += block_bytes) {
      for (const HalfField& field : half_fields(dtype)) {
        const bool negative = field.negative_too && (random() & 3U) == 0;
        put_half(data + at + field.offset, field.size * unit(random) * (negative ? -1.0F : 1.0F));
      }
      if (has_zero_point(dtype)) data[at + 2] &= std::byte{0x0f};
    }
  } else {
    for (int64_t i = 0; i < out * in; ++i) {
      const float value = normal(random);
      if (dtype == DType::kF32) std::memcpy(data + 4 * i, &value, 4);
      if (dtype == DType::kF16) put_half(data + 2 * i, value);
      if (dtype == DType::kBF16) {
        const uint16_t bits = float_to_bfloat16(value);
        std::memcpy(data + 2 * i, &bits, 2);
      }
      if (dtype == DType::kF8E4M3) {
        auto code = static_cast<uint8_t>(random() & 0xbfU);  // below 2 in magnitude
        data[i] = static_cast<std::byte>(code);
      }
    }
  }
  matrix.tensor.name = "random";
  matrix.tensor.dtype = dtype;
  matrix.tensor.shape = Shape{out, in};
  matrix.tensor.data = data;
  matrix.tensor.bytes = bytes;
  if (dtype == DType::kF8E4M3) {
    const int64_t scales = (out + 127) / 128 * ((in + 127) / 128);
    for (int64_t i = 0; i < scales; ++i) matrix.block_scales.push_back(unit(random));
    matrix.tensor.block_scales = matrix.block_scales.data();
  }
  if (dtype == DType::kI8Row) {
    for (int64_t i = 0; i < out; ++i) matrix.block_scales.push_back(0.01F * unit(random));
    matrix.tensor.block_scales = matrix.block_scales.data();
  }
  return matrix;
}

std::vector<DType> weight_types() {
  return {DType::kF32,    DType::kF16,    DType::kBF16,   DType::kF8E4M3,  DType::kQ4_0,
          DType::kQ4_1,   DType::kQ5_0,   DType::kQ5_1,   DType::kQ8_0,    DType::kQ2_K,
          DType::kQ3_K,   DType::kQ4_K,   DType::kQ5_K,   DType::kQ6_K,    DType::kI4_64,
          DType::kI4_128, DType::kI4Z_32, DType::kI4Z_64, DType::kI4Z_128, DType::kI8_128,
          DType::kI8Row};
}

int64_t columns_for(DType dtype, int64_t n) {
  const int64_t block = info(dtype).block_elements;
  return (n + block - 1) / block * block;
}

std::vector<float> random_floats(int64_t n, uint32_t seed, float scale) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = normal(random);
  return values;
}

std::vector<float> exact_activations(int64_t rows, int64_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> code(-127, 127);
  std::uniform_int_distribution<int> exponent(-9, -5);
  std::vector<float> values;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; c += 32) {
      const int scale = exponent(random);
      const int64_t n = std::min<int64_t>(32, cols - c);
      const auto largest = static_cast<int64_t>(random() % static_cast<uint32_t>(n));
      for (int64_t i = 0; i < n; ++i) {
        const int q = i == largest ? ((random() & 1U) != 0 ? 127 : -127) : code(random);
        values.push_back(std::ldexp(static_cast<float>(q), scale));
      }
    }
  }
  return values;
}

}  // namespace fathom::testing
