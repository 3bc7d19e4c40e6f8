// The instantiations of the matrix products, one for each stored type.
#pragma once

#include "kernels/simd/code_matmul.h"
#include "kernels/simd/expanded_matmul.h"
#include "kernels/simd/f8_matmul.h"
#include "kernels/simd/float_matmul.h"
#include "tensor/dtype.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

//                      bits group minimum
using Q4_0Codes = Codes<4, 32, false, Scaling::kGroup>;
using Q4_1Codes = Codes<4, 32, true, Scaling::kGroup>;
using Q5_0Codes = Codes<5, 32, false, Scaling::kGroup>;
using Q5_1Codes = Codes<5, 32, true, Scaling::kGroup>;
using Q8_0Codes = Codes<8, 32, false, Scaling::kGroup>;
using Q2KCodes = Codes<2, 16, true, Scaling::kSuper>;
using Q3KCodes = Codes<3, 16, false, Scaling::kSuperSigned>;
using Q4KCodes = Codes<4, 32, true, Scaling::kSuper>;
using Q5KCodes = Codes<5, 32, true, Scaling::kSuper>;
using Q6KCodes = Codes<6, 16, false, Scaling::kSuperSigned>;
template <int kGroup>
using Int4Codes = Codes<4, kGroup, false, Scaling::kGroup>;
template <int kGroup>
using Int4ZeroCodes = Codes<4, kGroup, true, Scaling::kZeroPoint>;
using Int8Codes = Codes<8, 128, false, Scaling::kGroup>;
using Int8RowCodes = Codes<8, 32, false, Scaling::kRow>;

// Unpacking to a buffer pays from about this many rows.
inline constexpr int64_t kExpandFrom = 4;

template <class Format>
inline void matmul_codes_of(const MatmulTile& tile) {
  if constexpr (kExpand) {
    if (tile.rows >= kExpandFrom) return matmul_expanded<Format>(tile);
  }
  matmul_codes<Format>(tile);
}

inline void matmul(int dtype, const MatmulTile& tile) {
  switch (static_cast<DType>(dtype)) {
    case DType::kF32:
      return matmul_floats<FloatType::kF32>(tile);
    case DType::kF16:
      return matmul_floats<FloatType::kF16>(tile);
    case DType::kBF16:
      return matmul_floats<FloatType::kBF16>(tile);
    case DType::kF8E4M3:
      return matmul_f8(tile);
    case DType::kQ4_0:
      return matmul_codes_of<Q4_0Codes>(tile);
    case DType::kQ4_1:
      return matmul_codes_of<Q4_1Codes>(tile);
    case DType::kQ5_0:
      return matmul_codes_of<Q5_0Codes>(tile);
    case DType::kQ5_1:
      return matmul_codes_of<Q5_1Codes>(tile);
    case DType::kQ8_0:
      return matmul_codes_of<Q8_0Codes>(tile);
    case DType::kQ2_K:
      return matmul_codes_of<Q2KCodes>(tile);
    case DType::kQ3_K:
      return matmul_codes_of<Q3KCodes>(tile);
    case DType::kQ4_K:
      return matmul_codes_of<Q4KCodes>(tile);
    case DType::kQ5_K:
      return matmul_codes_of<Q5KCodes>(tile);
    case DType::kQ6_K:
      return matmul_codes_of<Q6KCodes>(tile);
    case DType::kI4_64:
      return matmul_codes_of<Int4Codes<64>>(tile);
    case DType::kI4_128:
      return matmul_codes_of<Int4Codes<128>>(tile);
    case DType::kI4Z_32:
      return matmul_codes_of<Int4ZeroCodes<32>>(tile);
    case DType::kI4Z_64:
      return matmul_codes_of<Int4ZeroCodes<64>>(tile);
    case DType::kI4Z_128:
      return matmul_codes_of<Int4ZeroCodes<128>>(tile);
    case DType::kI8_128:
      return matmul_codes_of<Int8Codes>(tile);
    case DType::kI8Row:
      return matmul_codes_of<Int8RowCodes>(tile);
    default:
      return;  // pack() accepts no other type
  }
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
