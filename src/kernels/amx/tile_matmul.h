// Products of many rows with AMX tiles, in the vocabulary of avx512/simd.h, which is included
// first.
//
// A block of 32 codes of 16 outputs, unpacked, is what TDPBSUD wants of its second operand: 8 rows
// of four consecutive k for each output. So nothing is packed anew: a stretch of two panels is
// unpacked to a buffer in L1, as in simd/expanded_matmul.h, and 16 rows of activations are loaded
// from their records. A tile product is one block of K; its integer sums go through memory, and are
// scaled and added in F32 as code_matmul.h does, bit by bit. Rows that are not equally far apart
// (tokens gathered for an expert), and fewer than 16, are copied together first.
//
// Measured on a Xeon of 2023 with 8 threads (1536 x 8960): 1.5 times as fast as VNNI with 32 rows,
// 1.7 times with 256. Formats whose groups are 16 gain nothing, since each group costs a tile
// product and its scaling; and BF16 lost: to be as good as F32's, its products need activations in
// three parts, and three times the tiles. These, and fewer rows than 32, stay with AVX-512.
#pragma once

#include "kernels/amx/tiles.h"
#include "kernels/packed/vector_ops.h"
#include "kernels/simd/code_formats.h"
#include "kernels/simd/code_matmul.h"
#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

inline constexpr int kTileLine = amx::kTileRowBytes;
inline constexpr int kTileRows = amx::kTileRows;
inline constexpr int kTilePair = 2;        // panels at once
inline constexpr int kTileBlocks = 16;     // of 32 codes: the two panels' take 16 KB
inline constexpr int64_t kTilesFrom = 32;  // rows

static_assert(kLanes == kTileRows && kUnsigned8);

// Blocks whose sums are added together.
template <class Format>
inline constexpr int kTileBatch = Format::kLong ? Format::kBlocksEach : 2;

// Where consecutive rows are equally far apart this is how far, otherwise 0.
inline int64_t common_stride(const void* const* rows, int64_t count) {
  const auto at = [&](int64_t i) { return static_cast<const std::byte*>(rows[i]); };
  if (count < 2) return 0;
  const int64_t stride = at(1) - at(0);
  for (int64_t i = 2; i < count; ++i) {
    if (at(i) - at(i - 1) != stride) return 0;
  }
  return stride;
}

template <class Format>
struct alignas(64) TileStretch {
  unsigned char codes[kTileBlocks][kTilePair][8][kTileLine];
  float scale[kTileBlocks][kTilePair][kLanes];
  float minimum[Format::kMinimum ? kTileBlocks : 1][kTilePair][kLanes];
};

template <class Format>
inline void expand_for_tiles(const std::byte* codes, Scales<Format>& scales, int blocks, int member,
                             TileStretch<Format>& to) {
  constexpr int kBlockBytes = Format::kVectors * kTileLine;
  for (int b = 0; b < blocks; ++b) {
    if (b % Format::kBlocksEach == 0) scales.next_shared();
    I w[8];
    unpack<Format>(codes + b * kBlockBytes, w);
    FATHOM_UNROLL
    for (int j = 0; j < 8; ++j) store_codes(to.codes[b][member][j], w[j]);
    scales.next_block();
    store(to.scale[b][member], scales.scale[0]);
    if constexpr (Format::kMinimum) store(to.minimum[b][member], scales.minimum[0]);
  }
}

// At most 16 rows in one stretch: their codes for the tiles, and their records with scales and
// sums.
struct TileRowGroup {
  const std::byte* codes;
  int64_t stride;
  const void* const* records;
  int64_t entry_at;
  int rows;
};

enum : int { kSums0, kSums1, kActivations, kWeights0, kWeights1 };  // the tiles

constexpr amx::TileConfig tiles_of_blocks() {
  amx::TileConfig config;
  config.set(kSums0, kTileRows, kTileLine);
  config.set(kSums1, kTileRows, kTileLine);
  config.set(kActivations, kTileRows, 32);
  config.set(kWeights0, 8, kTileLine);
  config.set(kWeights1, 8, kTileLine);
  return config;
}

// The integer sums of a block.
using TileDots = int32_t[kTilePair][kTileRows][kLanes];

template <class Tiles, class Format>
inline void multiply_blocks(const TileStretch<Format>& stretch, int begin, int end,
                            const TileRowGroup& group, TileDots* dots) {
  for (int b = begin; b < end; ++b) {
    Tiles::template load<kActivations>(group.codes + b * 32, group.stride);
    Tiles::template load<kWeights0>(stretch.codes[b][0], kTileLine);
    Tiles::template load<kWeights1>(stretch.codes[b][1], kTileLine);
    Tiles::template zero<kSums0>();
    Tiles::template multiply_signed_unsigned<kSums0, kActivations, kWeights0>();
    Tiles::template zero<kSums1>();
    Tiles::template multiply_signed_unsigned<kSums1, kActivations, kWeights1>();
    Tiles::template store<kSums0>(dots[b - begin][0], kTileLine);
    Tiles::template store<kSums1>(dots[b - begin][1], kTileLine);
  }
}

// Scales the sums of kCount blocks from `begin` on, and adds them to the rows' sums.
template <class Format, int kCount>
inline void add_blocks(const TileStretch<Format>& stretch, int begin, const TileRowGroup& group,
                       const TileDots* dots, float (*sums)[kTilePair][kLanes]) {
  for (int r = 0; r < group.rows; ++r) {
    const auto* record = static_cast<const std::byte*>(group.records[r]);
    const auto* entry = reinterpret_cast<const float*>(record + group.entry_at) + 2 * begin;
    F acc[kTilePair];  // of a long group, its part
    FATHOM_UNROLL
    for (int p = 0; p < kTilePair; ++p) acc[p] = Format::kLong ? zero() : load(sums[r][p]);
    FATHOM_UNROLL
    for (int i = 0; i < kCount; ++i) {
      const F scale = set1(entry[2 * i]);
      const F sum = set1(entry[2 * i + 1]);
      FATHOM_UNROLL
      for (int p = 0; p < kTilePair; ++p) {
        Dot<Format::kBits> dot{load_codes(dots[i][p][r])};
        const F product = dot.template done<8>();
        if constexpr (Format::kLong) {
          acc[p] = fma(product, scale, acc[p]);
          continue;
        }
        const F weight_scale = load(stretch.scale[begin + i][p]);
        if constexpr (Format::kShift) {
          acc[p] = fma(fma(product, scale, sum), weight_scale, acc[p]);
        } else {
          acc[p] = fma(mul(product, scale), weight_scale, acc[p]);
          if constexpr (Format::kMinimum) {
            acc[p] = fma(sum, load(stretch.minimum[begin + i][p]), acc[p]);
          }
        }
      }
    }
    if constexpr (Format::kLong) {
      const F sum = set1(folded_sum<Format>(entry, 0));
      FATHOM_UNROLL
      for (int p = 0; p < kTilePair; ++p) {
        const F minimum = Format::kMinimum ? load(stretch.minimum[begin][p]) : zero();
        acc[p] =
            weighed<Format>(acc[p], sum, load(stretch.scale[begin][p]), minimum, load(sums[r][p]));
      }
    }
    FATHOM_UNROLL
    for (int p = 0; p < kTilePair; ++p) store(sums[r][p], acc[p]);
  }
}

// One stretch of one group of rows. A tile product takes long to come out, so the next ones are
// started before the last ones are used.
template <class Tiles, class Format>
inline void add_tile_stretch(const TileStretch<Format>& stretch, int blocks,
                             const TileRowGroup& group, float (*sums)[kTilePair][kLanes]) {
  constexpr int kBatch = kTileBatch<Format>;
  alignas(64) TileDots dots[2][kBatch];
  const auto end_of = [&](int b) { return b + kBatch < blocks ? b + kBatch : blocks; };
  multiply_blocks<Tiles>(stretch, 0, end_of(0), group, dots[0]);
  for (int b = 0; b < blocks; b += kBatch) {
    const int end = end_of(b);
    const int turn = b / kBatch % 2;
    if (end < blocks) multiply_blocks<Tiles>(stretch, end, end_of(end), group, dots[1 - turn]);
    if (end - b == kBatch) {
      add_blocks<Format, kBatch>(stretch, b, group, dots[turn], sums);
    } else if constexpr (!Format::kLong) {
      add_blocks<Format, 1>(stretch, b, group, dots[turn], sums);
    }
  }
}

template <class Tiles, class Format>
void matmul_tile_codes(const MatmulTile& tile) {
  constexpr int64_t kMostRows = 128;
  constexpr int kBlockBytes = Format::kVectors * kTileLine;
  constexpr int kEntryBytes = 8;
  static constexpr amx::TileConfig kConfig = tiles_of_blocks();
  TileStretch<Format> stretch;
  alignas(64) float sums[kMostRows][kTilePair][kLanes];
  alignas(64) std::byte copied[kTileRows][kTileBlocks * 32];
  __builtin_memset(copied, 0, sizeof copied);
  const int64_t stride = common_stride(tile.x, tile.rows);
  const int64_t blocks = tile.in / 32;
  Tiles::configure(kConfig);
  for (int64_t p = 0; p < tile.panel_count; p += kTilePair) {
    const std::byte* panel = tile.panels + p * tile.panel_bytes;
    // An odd last panel is paired with itself, and that result is not stored.
    const bool both = p + 1 < tile.panel_count;
    const std::byte* other = both ? panel + tile.panel_bytes : panel;
    Scales<Format> scales(panel + tile.scale_offset, tile.in);
    Scales<Format> other_scales(other + tile.scale_offset, tile.in);
    __builtin_memset(sums, 0, static_cast<size_t>(tile.rows) * sizeof sums[0]);
    for (int64_t b = 0; b < blocks; b += kTileBlocks) {
      const int count = static_cast<int>(blocks - b < kTileBlocks ? blocks - b : kTileBlocks);
      expand_for_tiles(panel + b * kBlockBytes, scales, count, 0, stretch);
      expand_for_tiles(other + b * kBlockBytes, other_scales, count, 1, stretch);
      for (int64_t row = 0; row < tile.rows; row += kTileRows) {
        const int64_t left = tile.rows - row;
        const int rows = static_cast<int>(left < kTileRows ? left : kTileRows);
        TileRowGroup group = {static_cast<const std::byte*>(tile.x[row]) + b * 32, stride,
                              tile.x + row, tile.section + b * kEntryBytes, rows};
        if (stride == 0 || rows < kTileRows) {
          for (int r = 0; r < rows; ++r) {
            __builtin_memcpy(copied[r], static_cast<const std::byte*>(group.records[r]) + b * 32,
                             static_cast<size_t>(count) * 32);
          }
          group.codes = copied[0];
          group.stride = sizeof copied[0];
        }
        add_tile_stretch<Tiles>(stretch, count, group, sums + row);
      }
    }
    for (int64_t r = 0; r < tile.rows; ++r) {
      float* y = tile.y[r] + p * kLanes;
      const int64_t outputs = tile.outputs - p * kLanes;
      store_outputs(y, load(sums[r][0]), outputs);
      if (both) store_outputs(y + kLanes, load(sums[r][1]), outputs - kLanes);
    }
  }
  Tiles::release();
}

// otherwise: the same instruction set's product without tiles.
template <class Tiles>
inline void matmul_with_tiles(int dtype, const MatmulTile& tile,
                              void (*otherwise)(int, const MatmulTile&)) {
  bool done = false;
  if (tile.rows >= kTilesFrom) {
    with_code_format(static_cast<DType>(dtype), [&]<class Format>(Format) {
      if constexpr (Format::kGroups == 1) {
        matmul_tile_codes<Tiles, Format>(tile);
        done = true;
      }
    });
  }
  if (!done) otherwise(dtype, tile);
}

// The peak of code products: nothing but tiles that are as large as can be.
template <class Tiles>
inline int64_t burn_tiles(int64_t iterations) {
  static constexpr amx::TileConfig kConfig = [] {
    amx::TileConfig config;
    for (int t = 0; t < amx::kTiles; ++t) config.set(t, kTileRows, kTileLine);
    return config;
  }();
  Tiles::configure(kConfig);
  for (int64_t n = 0; n < iterations; ++n) {
    Tiles::template multiply_signed_unsigned<0, 4, 6>();
    Tiles::template multiply_signed_unsigned<1, 4, 7>();
    Tiles::template multiply_signed_unsigned<2, 5, 6>();
    Tiles::template multiply_signed_unsigned<3, 5, 7>();
  }
  Tiles::release();
  return iterations * 4 * kTileRows * kLanes * kTileLine * 2;
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
