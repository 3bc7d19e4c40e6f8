// Plain decoding of stored elements to F32: the definition of what each type means. Kernels are
// tested against it; only loading and the reference kernels call it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace fathom {

// Decodes `elements` (whole blocks) starting at `data` into out[elements]. Any computable type
// except the scales of F8E4M3 and I8_ROW, which dequantize_rows applies.
void dequantize(DType dtype, const std::byte* data, int64_t elements, float* out);

// Decodes rows [row_begin, row_begin + rows) of a matrix [rows, cols] into out[rows, cols],
// with block scales where the type has them.
void dequantize_rows(const Tensor& matrix, int64_t row_begin, int64_t rows, float* out);

float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);  // round to nearest even, overflow to infinity
inline float bfloat16_to_float(uint16_t bits);
uint16_t float_to_bfloat16(float value);  // round to nearest even
float f8e4m3_to_float(uint8_t bits);      // OCP E4M3FN: no infinities, 0x7f and 0xff are NaN

inline float bfloat16_to_float(uint16_t bits) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(bits) << 16);
}

}  // namespace fathom
