// The innermost products of simd/expanded_matmul.h: a few rows of activations times one group of
// two panels' unpacked codes, exact in integers. An instruction set with matrix instructions
// (kRowPairs) brings its own form, which must give the same numbers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

inline constexpr int kPair = 2;

// One block of two panels: codes[j][panel].
using BlockCodes = unsigned char[8][kPair][4 * kLanes];

template <class Format, int kRows, bool kInPairs = kRowPairs>
struct RowDots;

template <class Format, int kRows>
struct RowDots<Format, kRows, false> {
  static constexpr int kSteps = 8 / Format::kGroups;
  Dot<Format::kBits> dot[kRows][kPair];

  // How a panel's unpacked vectors are kept.
  static void arrange(I (& /*w*/)[8]) {}

  // Group kGroup of the block; x[r] + code_at is the block's activations.
  template <int kGroup>
  [[gnu::always_inline]] void multiply(const BlockCodes& codes, const std::byte* const (&x)[kRows],
                                       int64_t code_at) {
    steps<kGroup * kSteps, (kGroup + 1) * kSteps>(codes, x, code_at);
  }
  [[gnu::always_inline]] F product(int row, int panel) {
    return dot[row][panel].template done<kSteps>();
  }

 private:
  template <int kStep, int kEnd>
  [[gnu::always_inline]] void steps(const BlockCodes& codes, const std::byte* const (&x)[kRows],
                                    int64_t code_at) {
    if constexpr (kStep < kEnd) {
      constexpr int kInGroup = kStep % kSteps;
      const I first = load_codes(codes[kStep][0]);
      const I second = load_codes(codes[kStep][1]);
      FATHOM_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const I broadcast = broadcast4(x[r] + code_at + 4 * kStep);
        dot[r][0].template step<kInGroup>(first, broadcast);
        dot[r][1].template step<kInGroup>(second, broadcast);
      }
      steps<kStep + 1, kEnd>(codes, x, code_at);
    }
  }
};

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
