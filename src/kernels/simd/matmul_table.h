// The instantiations of the matrix products, one for each stored type.
#pragma once

#include "kernels/simd/code_matmul.h"
#include "kernels/simd/float_matmul.h"
#include "tensor/dtype.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

//                        bits group minimum super signed
using Q4_0Codes = Codes<4, 32, false, false>;
using Q4_1Codes = Codes<4, 32, true, false>;
using Q5_0Codes = Codes<5, 32, false, false>;
using Q5_1Codes = Codes<5, 32, true, false>;
using Q8_0Codes = Codes<8, 32, false, false>;
using Q2KCodes = Codes<2, 16, true, true>;
using Q3KCodes = Codes<3, 16, false, true, true>;
using Q4KCodes = Codes<4, 32, true, true>;
using Q5KCodes = Codes<5, 32, true, true>;
using Q6KCodes = Codes<6, 16, false, true, true>;

inline void matmul(int dtype, const MatmulTile& tile) {
  switch (static_cast<DType>(dtype)) {
    case DType::kF32:
      return matmul_floats<FloatType::kF32>(tile);
    case DType::kF16:
      return matmul_floats<FloatType::kF16>(tile);
    case DType::kBF16:
      return matmul_floats<FloatType::kBF16>(tile);
    case DType::kF8E4M3:
      return matmul_floats<FloatType::kF8>(tile);
    case DType::kQ4_0:
      return matmul_codes<Q4_0Codes>(tile);
    case DType::kQ4_1:
      return matmul_codes<Q4_1Codes>(tile);
    case DType::kQ5_0:
      return matmul_codes<Q5_0Codes>(tile);
    case DType::kQ5_1:
      return matmul_codes<Q5_1Codes>(tile);
    case DType::kQ8_0:
      return matmul_codes<Q8_0Codes>(tile);
    case DType::kQ2_K:
      return matmul_codes<Q2KCodes>(tile);
    case DType::kQ3_K:
      return matmul_codes<Q3KCodes>(tile);
    case DType::kQ4_K:
      return matmul_codes<Q4KCodes>(tile);
    case DType::kQ5_K:
      return matmul_codes<Q5KCodes>(tile);
    case DType::kQ6_K:
      return matmul_codes<Q6KCodes>(tile);
    default:
      return;  // pack() accepts no other type
  }
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
