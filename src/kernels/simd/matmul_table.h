// The instantiations of the matrix products, one for each stored type.
#pragma once

#include "kernels/simd/code_formats.h"
#include "kernels/simd/code_matmul.h"
#include "kernels/simd/expanded_matmul.h"
#include "kernels/simd/f8_matmul.h"
#include "kernels/simd/float_matmul.h"
#include "tensor/dtype.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

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
    default:
      return with_code_format(static_cast<DType>(dtype),
                              [&]<class Format>(Format) { matmul_codes_of<Format>(tile); });
  }
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
