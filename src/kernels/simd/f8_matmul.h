// Products of F32 activations with FP8 panels for many rows. Decoding a code takes longer than a
// product, so 128 of a panel's K, those of one scale, are decoded once to a buffer in L1 and used
// by all rows of the tile. The sums are those of float_matmul.h, bit by bit.
#pragma once

#include "kernels/packed/vector_ops.h"
#include "kernels/simd/code_matmul.h"
#include "kernels/simd/float_matmul.h"
#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

inline constexpr int64_t kF8Columns = 128;
inline constexpr int64_t kF8Tile = 128;  // rows of a tile at most
// Fewer rows than that are computed at once while the codes are decoded.
inline constexpr int64_t kF8ExpandFrom = kFloatRows / 2 + 1;

struct alignas(64) F8Block {
  float weights[kF8Columns][2][kLanes];
  float sums[kF8Tile][2][kLanes];
};

// Adds the products of `count` of K to the sums of kRows rows.
template <int kRows>
[[gnu::noinline]] void add_f8(const F8Block& block, int64_t count, const void* const* rows,
                              int64_t k, float scale, float (*sums)[2][kLanes]) {
  const float* x[kRows];
  F acc[kRows][2];
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    x[r] = static_cast<const float*>(rows[r]) + k;
    acc[r][0] = acc[r][1] = zero();
  }
  for (int64_t i = 0; i < count; ++i) {
    const F a = load(block.weights[i][0]);
    const F b = load(block.weights[i][1]);
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const F broadcast = set1(x[r][i]);
      acc[r][0] = fma(broadcast, a, acc[r][0]);
      acc[r][1] = fma(broadcast, b, acc[r][1]);
    }
  }
  const F factor = set1(scale);
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    FATHOM_UNROLL
    for (int h = 0; h < 2; ++h) store(sums[r][h], fma(acc[r][h], factor, load(sums[r][h])));
  }
}

template <int kRows = kFloatRows>
inline void add_f8_of(int64_t rows, const F8Block& block, int64_t count, const void* const* x,
                      int64_t k, float scale, float (*sums)[2][kLanes]) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return add_f8_of<kRows - 1>(rows, block, count, x, k, scale, sums);
  }
  add_f8<kRows>(block, count, x, k, scale, sums);
}

// tile.rows <= kF8Tile.
inline void matmul_f8_expanded(const MatmulTile& tile) {
  F8Block block;
  // Rows in equal groups: a small last one would cost nearly as much as a full one.
  const int64_t groups = (tile.rows + kFloatRows - 1) / kFloatRows;
  for (int64_t p = 0; p < tile.panel_count; ++p) {
    const std::byte* panel = tile.panels + p * tile.panel_bytes;
    const auto* scales = reinterpret_cast<const float*>(panel + tile.scale_offset);
    for (int64_t r = 0; r < tile.rows; ++r) {
      store(block.sums[r][0], zero());
      store(block.sums[r][1], zero());
    }
    for (int64_t k = 0; k < tile.in; k += kF8Columns) {
      const int64_t count = tile.in - k < kF8Columns ? tile.in - k : kF8Columns;
      const std::byte* codes = panel + k * 2 * kLanes;
      for (int64_t i = 0; i < count; ++i) {
        F a, b;
        load_weights<FloatType::kF8>(codes + i * 2 * kLanes, a, b);
        store(block.weights[i][0], a);
        store(block.weights[i][1], b);
      }
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t row = tile.rows * g / groups;
        const int64_t rows = tile.rows * (g + 1) / groups - row;
        // 2^8: what load_f8_scaled leaves out.
        add_f8_of(rows, block, count, tile.x + row, k, scales[k / kF8Columns] * 256.0F,
                  block.sums + row);
      }
    }
    const int64_t output = p * 2 * kLanes;
    for (int64_t r = 0; r < tile.rows; ++r) {
      float* y = tile.y[r] + output;
      store_outputs(y, load(block.sums[r][0]), tile.outputs - output);
      if (tile.outputs - output > kLanes) {
        store_outputs(y + kLanes, load(block.sums[r][1]), tile.outputs - output - kLanes);
      }
    }
  }
}

inline void matmul_f8(const MatmulTile& tile) {
  if (tile.rows >= kF8ExpandFrom) return matmul_f8_expanded(tile);
  matmul_floats<FloatType::kF8>(tile);
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
