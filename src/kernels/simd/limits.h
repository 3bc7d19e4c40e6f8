// Loops that do nothing but arithmetic: what this machine could reach at best.
#pragma once

#include "kernels/simd/code_matmul.h"
#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

// Independent sums: enough to hide latency, few enough for 16 registers.
inline constexpr int kChains = 8;

// The product-and-add step of 4-bit codes. Returns operations done (a multiplication and an
// addition are two).
inline int64_t burn_codes(int64_t iterations) {
  static constexpr unsigned char kThrees[4] = {3, 3, 3, 3};
  I codes = broadcast4(kThrees);
  Dot<4> sums[kChains];
  FATHOM_UNROLL
  for (int i = 0; i < kChains; ++i) sums[i].template step<0>(codes, codes);
  for (int64_t n = 0; n < iterations; ++n) {
    FATHOM_UNROLL
    for (int i = 0; i < kChains; ++i) {
      in_order(codes);
      sums[i].template step<1>(codes, codes);
    }
  }
  float used = 0;
  FATHOM_UNROLL
  for (int i = 0; i < kChains; ++i) used += sum(sums[i].template done<1>());
  // Never true, which the compiler cannot know: the sums are needed.
  return used == 0.5F ? 0 : iterations * kChains * kLanes * 4 * 2;
}

inline int64_t burn_floats(int64_t iterations) {
  F factor = set1(1.0F);
  F sums[kChains];
  FATHOM_UNROLL
  for (int i = 0; i < kChains; ++i) sums[i] = zero();
  for (int64_t n = 0; n < iterations; ++n) {
    FATHOM_UNROLL
    for (int i = 0; i < kChains; ++i) {
      in_order(factor);
      sums[i] = fma(factor, factor, sums[i]);
    }
  }
  float used = 0;
  FATHOM_UNROLL
  for (int i = 0; i < kChains; ++i) used += sum(sums[i]);
  return used == 0.5F ? 0 : iterations * kChains * kLanes * 2;
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
