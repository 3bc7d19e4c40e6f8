// The innermost products with FEAT_I8MM: smmla multiplies two rows of activations by two rows of
// weights, eight elements of K at a time, and adds to four sums. Included by neon_i8mm_ops.cpp,
// between simd.h and the templates.
#pragma once

#include "kernels/simd/row_dots.h"
#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

template <class Format, int kRows>
struct RowDots<Format, kRows, true> {
  static constexpr int kSteps = 8 / Format::kGroups;
  static constexpr int kRowPairCount = (kRows + 1) / 2;
  // [..][q]: weight rows 2q and 2q + 1 of a panel with the pair's first row, then with its second.
  int32x4_t sums[kRowPairCount][kPair][4];

  // Vectors j and j + 1 hold four elements each of eight weight rows; make it eight elements of two
  // rows to a register.
  static void arrange(I (&w)[8]) {
    FATHOM_UNROLL
    for (int j = 0; j < 8; j += 2) {
      const I first = w[j];
      const I second = w[j + 1];
      w[j] = pairs(first.a, second.a);
      w[j + 1] = pairs(first.b, second.b);
    }
  }

  template <int kGroup>
  [[gnu::always_inline]] void multiply(const BlockCodes& codes, const std::byte* const (&x)[kRows],
                                       int64_t code_at) {
    FATHOM_UNROLL
    for (int m = 0; m < kRowPairCount; ++m) {
      FATHOM_UNROLL
      for (int p = 0; p < kPair; ++p) {
        FATHOM_UNROLL
        for (int q = 0; q < 4; ++q) sums[m][p][q] = vdupq_n_s32(0);
      }
    }
    FATHOM_UNROLL
    for (int j = kGroup * kSteps; j < (kGroup + 1) * kSteps; j += 2) {
      I weights[kPair][2];
      FATHOM_UNROLL
      for (int p = 0; p < kPair; ++p) {
        weights[p][0] = load_codes(codes[j][p]);
        weights[p][1] = load_codes(codes[j + 1][p]);
      }
      FATHOM_UNROLL
      for (int m = 0; m < kRowPairCount; ++m) {
        // An odd last row is paired with itself, and that result is not used.
        const std::byte* upper = x[2 * m] + code_at + 4 * j;
        const std::byte* lower = x[2 * m + 1 < kRows ? 2 * m + 1 : 2 * m] + code_at + 4 * j;
        const int8x16_t rows = vcombine_s8(vld1_s8(reinterpret_cast<const int8_t*>(upper)),
                                           vld1_s8(reinterpret_cast<const int8_t*>(lower)));
        FATHOM_UNROLL
        for (int p = 0; p < kPair; ++p) {
          int32x4_t(&to)[4] = sums[m][p];
          to[0] = vmmlaq_s32(to[0], rows, weights[p][0].a);
          to[1] = vmmlaq_s32(to[1], rows, weights[p][0].b);
          to[2] = vmmlaq_s32(to[2], rows, weights[p][1].a);
          to[3] = vmmlaq_s32(to[3], rows, weights[p][1].b);
        }
      }
    }
  }

  [[gnu::always_inline]] F product(int row, int panel) const {
    const int32x4_t(&from)[4] = sums[row / 2][panel];
    const auto take = [row](int32x4_t first, int32x4_t second) {
      const int64x2_t a = vreinterpretq_s64_s32(first);
      const int64x2_t b = vreinterpretq_s64_s32(second);
      return vcvtq_f32_s32(
          vreinterpretq_s32_s64(row % 2 == 0 ? vzip1q_s64(a, b) : vzip2q_s64(a, b)));
    };
    return {take(from[0], from[1]), take(from[2], from[3])};
  }

 private:
  static I pairs(int8x16_t first, int8x16_t second) {
    const int32x4_t a = vreinterpretq_s32_s8(first);
    const int32x4_t b = vreinterpretq_s32_s8(second);
    return {vreinterpretq_s8_s32(vzip1q_s32(a, b)), vreinterpretq_s8_s32(vzip2q_s32(a, b))};
  }
};

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
