// Products of INT8 activations with packed codes (packed/panels.h has the layout). The integer sum
// of a group is exact; sums of groups are added in F32, in the order of K, whatever the number of
// rows. Written in the vocabulary of the instruction set's simd.h, which is included first.
#pragma once

#include "kernels/packed/vector_ops.h"
#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

// Where the scales of a type are.
enum class Scaling {
  kGroup,        // an F16 for each group of 32, 64 or 128, and an F16 minimum if it has one
  kZeroPoint,    // an F16 and a byte, the zero point, for each group
  kSuper,        // K types: an F16 for each 256 and a byte for each group
  kSuperSigned,  // and the bytes are signed
  kRow,          // an F32 for each row
};

template <int kBitsOf, int kGroupOf, bool kMinimumOf, Scaling kScalingOf>
struct Codes {
  static constexpr int kBits = kBitsOf;
  static constexpr int kGroup = kGroupOf;       // elements that share a scale
  static constexpr bool kMinimum = kMinimumOf;  // something is added to the scaled codes
  static constexpr Scaling kScaling = kScalingOf;
  static constexpr bool kSuper = kScaling == Scaling::kSuper || kScaling == Scaling::kSuperSigned;
  static constexpr int kDot = kGroup < 32 ? kGroup : 32;  // elements of one integer sum
  // Without a minimum a type has an offset, folded into the activations' sums; signed bytes alone
  // have neither.
  static constexpr bool kShift = !kMinimum && (kBits != 8 || kUnsigned8);
  static constexpr int kVectors = kBits == 8 ? 8 : kBits;  // of a block; bits times 8 to a vector
  // Blocks that share d.
  static constexpr int kBlocksEach = kSuper ? 8 : kGroup > 32 ? kGroup / 32 : 1;
  static constexpr int kGroups = 32 / kDot;  // of a block
};

// Undoes the bit planes of one block.
template <class Format>
inline void unpack(const std::byte* block, I (&w)[8]) {
  constexpr int kBytes = 4 * kLanes;
  constexpr int kBits = Format::kBits;
  if constexpr (kBits == 8) {
    FATHOM_UNROLL
    for (int j = 0; j < 8; ++j) w[j] = load_codes(block + j * kBytes);
    return;
  }
  constexpr bool kNibbles = kBits >= 4;
  constexpr bool kPairs = kBits == 2 || kBits == 3 || kBits == 6;
  constexpr bool kSingle = kBits == 3 || kBits == 5;
  if constexpr (kNibbles) {
    FATHOM_UNROLL
    for (int p = 0; p < 4; ++p) {
      const I both = load_codes(block + p * kBytes);
      w[p] = field<0>(both, 15);
      w[p + 4] = field<4>(both, 15);
    }
    block += 4 * kBytes;
  }
  if constexpr (kPairs) {
    constexpr int kAt = kNibbles ? 4 : 0;
    FATHOM_UNROLL
    for (int t = 0; t < 2; ++t) {
      const I all = load_codes(block + t * kBytes);
      const I q[4] = {field<0 - kAt>(all, 3 << kAt), field<2 - kAt>(all, 3 << kAt),
                      field<4 - kAt>(all, 3 << kAt), field<6 - kAt>(all, 3 << kAt)};
      FATHOM_UNROLL
      for (int i = 0; i < 4; ++i) {
        w[4 * t + i] = kNibbles ? bits_or(w[4 * t + i], q[i]) : q[i];
      }
    }
    block += 2 * kBytes;
  }
  if constexpr (kSingle) {
    constexpr int kAt = kNibbles ? 4 : 2;
    constexpr int kMask = 1 << kAt;
    const I all = load_codes(block);
    w[0] = bits_or(w[0], field<0 - kAt>(all, kMask));
    w[1] = bits_or(w[1], field<1 - kAt>(all, kMask));
    w[2] = bits_or(w[2], field<2 - kAt>(all, kMask));
    w[3] = bits_or(w[3], field<3 - kAt>(all, kMask));
    w[4] = bits_or(w[4], field<4 - kAt>(all, kMask));
    w[5] = bits_or(w[5], field<5 - kAt>(all, kMask));
    w[6] = bits_or(w[6], field<6 - kAt>(all, kMask));
    w[7] = bits_or(w[7], field<7 - kAt>(all, kMask));
  }
}

// Where the scales of a panel are, and those of the current block. next_shared() comes before the
// first of every kBlocksEach blocks, next_block() before each.
template <class Format>
struct Scales {
  static constexpr bool kHasBytes = Format::kSuper || Format::kScaling == Scaling::kZeroPoint;
  const std::byte* d;
  const std::byte* m;
  const std::byte* bytes;  // scales of K types, or zero points
  const std::byte* minimum_bytes;
  F super_d = zero();
  F super_m = zero();
  F scale[Format::kGroups];
  F minimum[Format::kGroups];  // added to the scaled codes

  Scales(const std::byte* start, int64_t in) {
    constexpr bool kHasHalfMinimum = Format::kMinimum && Format::kScaling != Scaling::kZeroPoint;
    const int64_t d_bytes = in / (32 * Format::kBlocksEach) * kLanes * 2;
    d = start;
    m = d + d_bytes;
    bytes = kHasHalfMinimum ? m + d_bytes : m;
    minimum_bytes = bytes + in / Format::kGroup * kLanes;
    FATHOM_UNROLL
    for (int g = 0; g < Format::kGroups; ++g) scale[g] = minimum[g] = zero();
  }

  // Fetches what the next `blocks` blocks will load.
  void prefetch_blocks(int blocks) const {
    if constexpr (Format::kScaling == Scaling::kRow) return;
    const int d_bytes = blocks / Format::kBlocksEach * kLanes * 2;
    const int group_bytes = blocks * 32 / Format::kGroup * kLanes;
    for (int at = 0; at < d_bytes; at += 64) prefetch(d + at);
    if constexpr (Format::kMinimum && Format::kScaling != Scaling::kZeroPoint) {
      for (int at = 0; at < d_bytes; at += 64) prefetch(m + at);
    }
    if constexpr (kHasBytes) {
      for (int at = 0; at < group_bytes; at += 64) prefetch(bytes + at);
    }
    if constexpr (Format::kSuper && Format::kMinimum && Format::kGroup == 32) {
      for (int at = 0; at < group_bytes; at += 64) prefetch(minimum_bytes + at);
    }
  }

  void next_shared() {
    if constexpr (Format::kSuper) {
      super_d = load_half(d);
      d += 2 * kLanes;
      if constexpr (Format::kMinimum) {
        super_m = sub(zero(), load_half(m));
        m += 2 * kLanes;
      }
    } else if constexpr (Format::kScaling == Scaling::kRow) {
      scale[0] = load(reinterpret_cast<const float*>(d));
    } else {
      scale[0] = load_half(d);
      d += 2 * kLanes;
      if constexpr (Format::kScaling == Scaling::kZeroPoint) {
        minimum[0] = sub(zero(), mul(scale[0], load_u8(bytes)));
        bytes += kLanes;
      } else if constexpr (Format::kMinimum) {
        minimum[0] = load_half(m);
        m += 2 * kLanes;
      }
    }
  }

  void next_block() {
    if constexpr (Format::kSuper) {
      FATHOM_UNROLL
      for (int g = 0; g < Format::kGroups; ++g) next_group(g);
    }
  }

 private:
  void next_group(int g) {
    if constexpr (Format::kMinimum && Format::kGroup == 16) {
      F low, high;
      load_nibbles(bytes, low, high);
      scale[g] = mul(super_d, low);
      minimum[g] = mul(super_m, high);
    } else {
      constexpr bool kSigned = Format::kScaling == Scaling::kSuperSigned;
      scale[g] = mul(super_d, kSigned ? load_s8(bytes) : load_u8(bytes));
      if constexpr (Format::kMinimum) {
        minimum[g] = mul(super_m, load_u8(minimum_bytes));
        minimum_bytes += kLanes;
      }
    }
    bytes += kLanes;
  }
};

// The products of one group of one row, steps kFirst .. kFirst + 32 / kGroups / 4.
template <class Format, int kFirst>
inline F group_dot(const I (&w)[8], const std::byte* x) {
  Dot<Format::kBits> dot;
  dot.template step<0>(w[kFirst], broadcast4(x + 4 * kFirst));
  dot.template step<1>(w[kFirst + 1], broadcast4(x + 4 * kFirst + 4));
  dot.template step<2>(w[kFirst + 2], broadcast4(x + 4 * kFirst + 8));
  dot.template step<3>(w[kFirst + 3], broadcast4(x + 4 * kFirst + 12));
  if constexpr (Format::kDot == 32) {
    dot.template step<4>(w[4], broadcast4(x + 16));
    dot.template step<5>(w[5], broadcast4(x + 20));
    dot.template step<6>(w[6], broadcast4(x + 24));
    dot.template step<7>(w[7], broadcast4(x + 28));
    return dot.template done<8>();
  } else {
    return dot.template done<4>();
  }
}

// Adds one group: entry[0] is the activations' scale, entry[1 + group] their folded sum.
template <class Format, int kGroup>
inline F add_group(F acc, const I (&w)[8], const std::byte* x, const float* entry,
                   const Scales<Format>& scales) {
  const F dot = group_dot<Format, 4 * kGroup>(w, x);
  if constexpr (Format::kShift) {
    const F shifted = fma(dot, set1(entry[0]), set1(entry[1 + kGroup]));
    return fma(shifted, scales.scale[kGroup], acc);
  } else {
    acc = fma(mul(dot, set1(entry[0])), scales.scale[kGroup], acc);
    if constexpr (Format::kMinimum) {
      acc = fma(set1(entry[1 + kGroup]), scales.minimum[kGroup], acc);
    }
    return acc;
  }
}

inline void store_outputs(float* y, F v, int64_t count) {
  if (count >= kLanes) {
    store(y, v);
  } else {
    store_first(y, v, count);
  }
}

template <class Format, int kRows>
void multiply_codes(const MatmulTile& tile, int64_t row) {
  constexpr int kBlockBytes = Format::kVectors * 4 * kLanes;
  constexpr int kEntryBytes = Format::kGroup == 16 ? 16 : 8;
  // Far enough ahead for memory, and across the page boundary where hardware prefetch stops.
  constexpr int kAhead = 2048;
  const std::byte* x[kRows];
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) x[r] = static_cast<const std::byte*>(tile.x[row + r]);

  for (int64_t p = 0; p < tile.panel_count; ++p) {
    const std::byte* panel = tile.panels + p * tile.panel_bytes;
    Scales<Format> scales(panel + tile.scale_offset, tile.in);
    F acc[kRows];
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) acc[r] = zero();
    int64_t code_at = 0;
    int64_t entry_at = tile.section;
    while (code_at < tile.in) {
      scales.next_shared();
      for (int b = 0; b < Format::kBlocksEach; ++b) {
        I w[8];
        unpack<Format>(panel, w);
        if constexpr (kRows <= 2) {
          FATHOM_UNROLL
          for (int line = 0; line < kBlockBytes; line += 64) prefetch(panel + kAhead + line);
        }
        scales.next_block();
        FATHOM_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const auto* entry = reinterpret_cast<const float*>(x[r] + entry_at);
          acc[r] = add_group<Format, 0>(acc[r], w, x[r] + code_at, entry, scales);
          if constexpr (Format::kGroups == 2) {
            acc[r] = add_group<Format, 1>(acc[r], w, x[r] + code_at, entry, scales);
          }
        }
        panel += kBlockBytes;
        code_at += 32;
        entry_at += kEntryBytes;
      }
    }
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) {
      store_outputs(tile.y[row + r] + p * kLanes, acc[r], tile.outputs - p * kLanes);
    }
  }
}

template <class Format>
void matmul_codes(const MatmulTile& tile) {
  int64_t row = 0;
  for (; row + kCodeRows <= tile.rows; row += kCodeRows) {
    multiply_codes<Format, kCodeRows>(tile, row);
  }
  if constexpr (kCodeRows > 4) {
    if (row + 4 <= tile.rows) {
      multiply_codes<Format, 4>(tile, row);
      row += 4;
    }
  }
  switch (tile.rows - row) {
    case 3:
      return multiply_codes<Format, 3>(tile, row);
    case 2:
      return multiply_codes<Format, 2>(tile, row);
    case 1:
      return multiply_codes<Format, 1>(tile, row);
    default:
      return;
  }
}

inline void quantize_row(const float* x, int64_t in, std::byte* record,
                         const ActivationVariant* variants, int variant_count) {
  // Below this the inverse of the scale overflows; such a block is zero to every other precision.
  constexpr float kTiny = 1e-35F;
  for (int64_t at = 0; at < in; at += 32) {
    const float largest = largest_magnitude32(x + at);
    const float scale = largest < kTiny ? 0.0F : largest / 127.0F;
    const float inverse = largest < kTiny ? 0.0F : 127.0F / largest;
    int halves[2];
    quantize32(x + at, inverse, record + at, halves[0], halves[1]);
    for (int v = 0; v < variant_count; ++v) {
      const float factor = variants[v].factor * scale;
      if (variants[v].group == 32) {
        auto* entry = reinterpret_cast<float*>(record + variants[v].offset) + at / 32 * 2;
        entry[0] = scale;
        entry[1] = factor * static_cast<float>(halves[0] + halves[1]);
      } else {
        auto* entry = reinterpret_cast<float*>(record + variants[v].offset) + at / 32 * 4;
        entry[0] = scale;
        entry[1] = factor * static_cast<float>(halves[0]);
        entry[2] = factor * static_cast<float>(halves[1]);
        entry[3] = 0.0F;
      }
    }
  }
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
