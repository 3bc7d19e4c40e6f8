// Products of packed codes with many rows, for instruction sets with few registers. Two panels'
// codes and scales of a stretch of K are unpacked once to a buffer in L1 and used by all rows of
// the tile, a few at a time, so that a weight vector serves kWideRows rows and an activation
// serves two panels. The sums are those of code_matmul.h, bit by bit.
#pragma once

#include "kernels/simd/code_matmul.h"
#include "kernels/simd/row_dots.h"
#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

inline constexpr int kStretchBlocks = 16;  // of 32: with a row's share, a third of L1
inline constexpr int64_t kWideTile = 128;  // rows of a tile at most

template <class Format>
struct alignas(64) Stretch {
  BlockCodes codes[kStretchBlocks];
  float scale[kStretchBlocks][Format::kGroups][kPair][kLanes];
  float minimum[Format::kMinimum ? kStretchBlocks : 1][Format::kGroups][kPair][kLanes];
};

template <class Format>
inline void expand(const std::byte* codes, Scales<Format>& scales, int blocks, int member,
                   Stretch<Format>& to) {
  constexpr int kBlockBytes = Format::kVectors * 4 * kLanes;
  for (int b = 0; b < blocks; ++b) {
    if (b % Format::kBlocksEach == 0) scales.next_shared();
    I w[8];
    unpack<Format>(codes + b * kBlockBytes, w);
    RowDots<Format, 1>::arrange(w);
    FATHOM_UNROLL
    for (int j = 0; j < 8; ++j) store_codes(to.codes[b][j][member], w[j]);
    scales.next_block();
    FATHOM_UNROLL
    for (int g = 0; g < Format::kGroups; ++g) {
      store(to.scale[b][g][member], scales.scale[g]);
      if constexpr (Format::kMinimum) store(to.minimum[b][g][member], scales.minimum[g]);
    }
  }
}

template <class Format, int kRows, int kGroup>
[[gnu::always_inline]] inline void add_groups(const Stretch<Format>& stretch, int b,
                                              const std::byte* const (&x)[kRows], int64_t code_at,
                                              int64_t entry_at, F (&acc)[kRows][kPair]) {
  RowDots<Format, kRows> dots;
  dots.template multiply<kGroup>(stretch.codes[b], x, code_at);
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const auto* entry = reinterpret_cast<const float*>(x[r] + entry_at);
    const F scale = set1(entry[0]);
    const F sum = set1(entry[1 + kGroup]);
    FATHOM_UNROLL
    for (int p = 0; p < kPair; ++p) {
      const F product = dots.product(r, p);
      if constexpr (Format::kLong) {
        acc[r][p] = fma(product, scale, acc[r][p]);
        continue;
      }
      const F weight_scale = load(stretch.scale[b][kGroup][p]);
      if constexpr (Format::kShift) {
        acc[r][p] = fma(fma(product, scale, sum), weight_scale, acc[r][p]);
      } else {
        acc[r][p] = fma(mul(product, scale), weight_scale, acc[r][p]);
        if constexpr (Format::kMinimum) {
          acc[r][p] = fma(sum, load(stretch.minimum[b][kGroup][p]), acc[r][p]);
        }
      }
    }
  }
}

// Adds what kRows rows have in `part` of the group whose last block is b to their sums, and begins
// the next.
template <class Format, int kRows>
[[gnu::always_inline]] inline void end_long_group(const Stretch<Format>& stretch, int b,
                                                  const std::byte* const (&x)[kRows],
                                                  int64_t first_entry_at, F (&part)[kRows][kPair],
                                                  float (*sums)[kPair][kLanes]) {
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const F sum = set1(folded_sum<Format>(x[r], first_entry_at));
    FATHOM_UNROLL
    for (int p = 0; p < kPair; ++p) {
      const F minimum = Format::kMinimum ? load(stretch.minimum[b][0][p]) : zero();
      store(sums[r][p], weighed<Format>(part[r][p], sum, load(stretch.scale[b][0][p]), minimum,
                                        load(sums[r][p])));
      part[r][p] = zero();
    }
  }
}

// What the next stretch will need, fetched a little with each block, so that no burst of misses
// holds up the loads of this one.
struct Ahead {
  const std::byte* codes[kPair];
  int64_t step;          // bytes of codes for each block
  const void* const* x;  // the next group's rows, as many as this group's
};

// Adds a stretch's products to the sums of kRows rows.
template <class Format, int kRows>
[[gnu::noinline]] void add_stretch(const Stretch<Format>& stretch, int blocks,
                                   const void* const* rows, int64_t code_at, int64_t entry_at,
                                   float (*sums)[kPair][kLanes], Ahead ahead) {
  constexpr int kEntryBytes = Format::kGroup == 16 ? 16 : 8;
  const std::byte* x[kRows];
  F acc[kRows][kPair];  // of a long group, its part
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    x[r] = static_cast<const std::byte*>(rows[r]);
    FATHOM_UNROLL
    for (int p = 0; p < kPair; ++p) acc[r][p] = Format::kLong ? zero() : load(sums[r][p]);
  }
  for (int b = 0; b < blocks; ++b) {
    for (int64_t at = 0; at < ahead.step; at += 64) {
      prefetch(ahead.codes[0] + at);
      prefetch(ahead.codes[1] + at);
    }
    ahead.codes[0] += ahead.step;
    ahead.codes[1] += ahead.step;
    // A line of codes serves two blocks: the rows take turns.
    for (int r = b % 2; r < kRows; r += 2) {
      prefetch(static_cast<const std::byte*>(ahead.x[r]) + code_at);
    }
    add_groups<Format, kRows, 0>(stretch, b, x, code_at, entry_at, acc);
    if constexpr (Format::kGroups == 2) {
      add_groups<Format, kRows, 1>(stretch, b, x, code_at, entry_at, acc);
    }
    code_at += 32;
    entry_at += kEntryBytes;
    if constexpr (Format::kLong) {
      if (b % Format::kBlocksEach != Format::kBlocksEach - 1) continue;
      end_long_group(stretch, b, x, entry_at - Format::kBlocksEach * kEntryBytes, acc, sums);
    }
  }
  if constexpr (Format::kLong) return;
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    FATHOM_UNROLL
    for (int p = 0; p < kPair; ++p) store(sums[r][p], acc[r][p]);
  }
}

template <class Format, int kRows = kWideRows>
inline void add_stretch_of(int rows, const Stretch<Format>& stretch, int blocks,
                           const void* const* x, int64_t code_at, int64_t entry_at,
                           float (*sums)[kPair][kLanes], const Ahead& ahead) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      add_stretch_of<Format, kRows - 1>(rows, stretch, blocks, x, code_at, entry_at, sums, ahead);
      return;
    }
  }
  add_stretch<Format, kRows>(stretch, blocks, x, code_at, entry_at, sums, ahead);
}

// tile.rows <= kWideTile.
template <class Format>
void matmul_expanded(const MatmulTile& tile) {
  constexpr int kBlockBytes = Format::kVectors * 4 * kLanes;
  constexpr int kEntryBytes = Format::kGroup == 16 ? 16 : 8;
  Stretch<Format> stretch;
  alignas(64) float sums[kWideTile][kPair][kLanes];
  const int64_t blocks = tile.in / 32;
  // Rows in equal groups of at most kWideRows: a small last group would cost nearly as much as a
  // full one.
  const int64_t groups = (tile.rows + kWideRows - 1) / kWideRows;
  const int64_t share = kStretchBlocks * kBlockBytes / groups;  // of the next stretch, per panel
  for (int64_t p = 0; p < tile.panel_count; p += kPair) {
    const std::byte* panel = tile.panels + p * tile.panel_bytes;
    // An odd last panel is paired with itself, and that result is not stored.
    const bool both = p + 1 < tile.panel_count;
    const std::byte* other = both ? panel + tile.panel_bytes : panel;
    Scales<Format> scales(panel + tile.scale_offset, tile.in);
    Scales<Format> other_scales(other + tile.scale_offset, tile.in);
    for (int64_t r = 0; r < tile.rows; ++r) {
      store(sums[r][0], zero());
      store(sums[r][1], zero());
    }
    for (int64_t b = 0; b < blocks; b += kStretchBlocks) {
      const int count = static_cast<int>(blocks - b < kStretchBlocks ? blocks - b : kStretchBlocks);
      expand(panel + b * kBlockBytes, scales, count, 0, stretch);
      expand(other + b * kBlockBytes, other_scales, count, 1, stretch);
      const int64_t entry_at = tile.section + b * kEntryBytes;
      // After the last stretch come the next two panels.
      const bool last = b + kStretchBlocks >= blocks;
      const int64_t next = last ? kPair * tile.panel_bytes : (b + kStretchBlocks) * kBlockBytes;
      if (last) {
        Scales<Format>(panel + next + tile.scale_offset, tile.in).prefetch_blocks(kStretchBlocks);
        Scales<Format>(other + next + tile.scale_offset, tile.in).prefetch_blocks(kStretchBlocks);
      } else {
        scales.prefetch_blocks(kStretchBlocks);
        other_scales.prefetch_blocks(kStretchBlocks);
      }
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t row = tile.rows * g / groups;
        const auto rows = static_cast<int>(tile.rows * (g + 1) / groups - row);
        if (last) {
          for (int r = 0; r < rows; ++r) prefetch(tile.y[row + r] + p * kLanes);
        }
        const int64_t next_row = row + 2 * rows <= tile.rows ? row + rows : row;
        const Ahead ahead = {{panel + next + g * share, other + next + g * share},
                             (share + count - 1) / count,
                             tile.x + next_row};
        add_stretch_of<Format>(rows, stretch, count, tile.x + row, b * 32, entry_at, sums + row,
                               ahead);
      }
    }
    for (int64_t r = 0; r < tile.rows; ++r) {
      float* y = tile.y[r] + p * kLanes;
      const int64_t outputs = tile.outputs - p * kLanes;
      store_outputs(y, load(sums[r][0]), outputs);
      if (both) store_outputs(y + kLanes, load(sums[r][1]), outputs - kLanes);
    }
  }
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
