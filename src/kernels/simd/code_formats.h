// The integer formats as the products' templates take them, one for each stored type.
#pragma once

#include "kernels/simd/code_matmul.h"
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

// Calls body with the format of a stored type that has codes.
template <class Body>
inline void with_code_format(DType dtype, Body body) {
  switch (dtype) {
    case DType::kQ4_0:
      return body(Q4_0Codes{});
    case DType::kQ4_1:
      return body(Q4_1Codes{});
    case DType::kQ5_0:
      return body(Q5_0Codes{});
    case DType::kQ5_1:
      return body(Q5_1Codes{});
    case DType::kQ8_0:
      return body(Q8_0Codes{});
    case DType::kQ2_K:
      return body(Q2KCodes{});
    case DType::kQ3_K:
      return body(Q3KCodes{});
    case DType::kQ4_K:
      return body(Q4KCodes{});
    case DType::kQ5_K:
      return body(Q5KCodes{});
    case DType::kQ6_K:
      return body(Q6KCodes{});
    case DType::kI4_64:
      return body(Int4Codes<64>{});
    case DType::kI4_128:
      return body(Int4Codes<128>{});
    case DType::kI4Z_32:
      return body(Int4ZeroCodes<32>{});
    case DType::kI4Z_64:
      return body(Int4ZeroCodes<64>{});
    case DType::kI4Z_128:
      return body(Int4ZeroCodes<128>{});
    case DType::kI8_128:
      return body(Int8Codes{});
    case DType::kI8Row:
      return body(Int8RowCodes{});
    default:
      return;  // pack() accepts no other type
  }
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
