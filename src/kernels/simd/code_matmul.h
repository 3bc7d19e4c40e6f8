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
  // Blocks that share their whole scale: their products are added up before it multiplies them.
  static constexpr bool kLong = !kSuper && kBlocksEach > 1;
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

  // Fetches what the block so many bytes of d further on will load.
  void prefetch_ahead(int64_t d_bytes) const {
    if constexpr (Format::kScaling == Scaling::kRow) return;
    prefetch(d + d_bytes);
    if constexpr (Format::kMinimum && Format::kScaling != Scaling::kZeroPoint) {
      prefetch(m + d_bytes);
    }
    if constexpr (kHasBytes) prefetch(bytes + d_bytes);
    if constexpr (Format::kSuper && Format::kMinimum && Format::kGroup == 32) {
      prefetch(minimum_bytes + d_bytes);
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

// Rows whose integer sums are computed side by side: each is a chain of dependent instructions, and
// several must be under way to keep the multipliers busy.
template <int kRows>
inline constexpr int kSideBySide = kRows < kRowChains ? kRows : kRowChains;

// One step of kCount rows' integer sums.
template <class Format, int kStep, int kFirst, int kCount>
[[gnu::always_inline]] inline void step_rows(const I (&w)[8], const std::byte* const* x, int64_t at,
                                             Dot<Format::kBits> (&dots)[kCount]) {
  FATHOM_UNROLL
  for (int r = 0; r < kCount; ++r) {
    dots[r].template step<kStep>(w[kFirst + kStep], broadcast4(x[r] + at + 4 * (kFirst + kStep)));
  }
}

// The folded sums of blocks that share a scale, whose first entry is at entry_at of a row's record.
template <class Format>
[[gnu::always_inline]] inline float folded_sum(const void* record, int64_t entry_at) {
  static_assert(Format::kLong);
  const auto* entry =
      reinterpret_cast<const float*>(static_cast<const std::byte*>(record) + entry_at);
  float sum = entry[1];
  FATHOM_UNROLL
  for (int b = 1; b < Format::kBlocksEach; ++b) sum += entry[2 * b + 1];
  return sum;
}

// Adds blocks that share a scale to a row's sum: `part` is their products times the activations'
// scales, `sum` the folded_sum().
template <class Format>
[[gnu::always_inline]] inline F weighed(F part, F sum, F scale, F minimum, F acc) {
  if constexpr (Format::kShift) return fma(add(part, sum), scale, acc);
  acc = fma(part, scale, acc);
  return Format::kMinimum ? fma(sum, minimum, acc) : acc;
}

// Adds one group of kCount rows, whose codes are at x[r] + at: entry[0] is the activations' scale,
// entry[1 + group] their folded sum. Of a long group, adds to the parts that weighed() takes.
template <class Format, int kGroup, int kCount>
[[gnu::always_inline]] inline void add_group(F* acc, const I (&w)[8], const std::byte* const* x,
                                             int64_t at, int64_t entry_at,
                                             const Scales<Format>& scales) {
  constexpr int kFirst = 4 * kGroup;
  constexpr int kSteps = Format::kDot / 4;
  Dot<Format::kBits> dots[kCount];
  step_rows<Format, 0, kFirst>(w, x, at, dots);
  step_rows<Format, 1, kFirst>(w, x, at, dots);
  step_rows<Format, 2, kFirst>(w, x, at, dots);
  step_rows<Format, 3, kFirst>(w, x, at, dots);
  if constexpr (kSteps == 8) {
    step_rows<Format, 4, kFirst>(w, x, at, dots);
    step_rows<Format, 5, kFirst>(w, x, at, dots);
    step_rows<Format, 6, kFirst>(w, x, at, dots);
    step_rows<Format, 7, kFirst>(w, x, at, dots);
  }
  FATHOM_UNROLL
  for (int r = 0; r < kCount; ++r) {
    const auto* entry = reinterpret_cast<const float*>(x[r] + entry_at);
    const F dot = dots[r].template done<kSteps>();
    if constexpr (Format::kLong) {
      acc[r] = fma(dot, set1(entry[0]), acc[r]);
    } else if constexpr (Format::kShift) {
      const F shifted = fma(dot, set1(entry[0]), set1(entry[1 + kGroup]));
      acc[r] = fma(shifted, scales.scale[kGroup], acc[r]);
    } else {
      acc[r] = fma(mul(dot, set1(entry[0])), scales.scale[kGroup], acc[r]);
      if constexpr (Format::kMinimum) {
        acc[r] = fma(set1(entry[1 + kGroup]), scales.minimum[kGroup], acc[r]);
      }
    }
  }
}

// Adds one group of all rows, kSideBySide at a time.
template <class Format, int kGroup, int kRows, int kFrom = 0>
[[gnu::always_inline]] inline void add_groups_of_rows(F (&acc)[kRows], const I (&w)[8],
                                                      const std::byte* const (&x)[kRows],
                                                      int64_t at, int64_t entry_at,
                                                      const Scales<Format>& scales) {
  constexpr int kLeft = kRows - kFrom;
  constexpr int kCount = kLeft < kSideBySide<kRows> ? kLeft : kSideBySide<kRows>;
  add_group<Format, kGroup, kCount>(acc + kFrom, w, x + kFrom, at, entry_at, scales);
  if constexpr (kLeft > kCount) {
    add_groups_of_rows<Format, kGroup, kRows, kFrom + kCount>(acc, w, x, at, entry_at, scales);
  }
}

inline void store_outputs(float* y, F v, int64_t count) {
  if (count >= kLanes) {
    store(y, v);
  } else {
    store_first(y, v, count);
  }
}

// What a tile's first rows read comes from memory. It is fetched in the order in which it lies
// there, codes and scales alike, to L2 some way ahead, and after the tile's end what the thread
// reads next: what is not under way in time holds up everything behind it. Measured on Zen 4 with
// random weights in memory: two threads read 32 GB/s with 32 KB ahead where a loop that only reads
// gets 33.
class Stream {
 public:
  Stream(const MatmulTile& tile, int64_t ahead)
      : end_(tile.panels + tile.panel_count * tile.panel_bytes),
        next_(tile.next != nullptr ? tile.next : end_),
        line_(tile.panels + ahead),
        limit_(line_) {}

  void fetch(int64_t bytes) {
    limit_ += bytes;
    if (!beyond_ && limit_ > end_) cross_end();
    for (; line_ < limit_; line_ += 64) prefetch_far(line_);
  }

 private:
  void cross_end() {
    for (; line_ < end_; line_ += 64) prefetch_far(line_);
    line_ = next_ + (line_ - end_);
    limit_ = next_ + (limit_ - end_);
    beyond_ = true;
  }

  const std::byte* end_;   // of the tile
  const std::byte* next_;  // read after it
  const std::byte* line_;  // to be fetched
  const std::byte* limit_;
  bool beyond_ = false;
};

template <class Format, int kRows>
void multiply_codes(const MatmulTile& tile, int64_t row) {
  constexpr int kBlockBytes = Format::kVectors * 4 * kLanes;
  constexpr int kEntryBytes = Format::kGroup == 16 ? 16 : 8;
  constexpr int64_t kAhead = 32768;
  constexpr int kScaleBlocksAhead = 16;
  constexpr int kScaleBytesAhead = 512;
  const bool first = row == 0 && !tile.resident;  // later rows find the tile in L2
  const std::byte* x[kRows];
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) x[r] = static_cast<const std::byte*>(tile.x[row + r]);
  Stream stream(tile, kAhead);
  const int64_t block_bytes = tile.panel_bytes / (tile.in / 32);  // with its scales

  for (int64_t p = 0; p < tile.panel_count; ++p) {
    const std::byte* panel = tile.panels + p * tile.panel_bytes;
    Scales<Format> scales(panel + tile.scale_offset, tile.in);
    if (first) {
      stream.fetch(tile.panel_bytes - block_bytes * (tile.in / 32));
      // Scales lie apart from codes: without this each panel begins with waiting for them.
      const std::byte* next = panel + tile.panel_bytes + tile.scale_offset;
      Scales<Format>(next, tile.in).prefetch_blocks(kScaleBlocksAhead);
    }
    F acc[kRows];
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) acc[r] = zero();
    int64_t code_at = 0;
    int64_t entry_at = tile.section;
    while (code_at < tile.in) {
      scales.next_shared();
      F part[kRows];  // of a long group
      if constexpr (Format::kLong) {
        FATHOM_UNROLL
        for (int r = 0; r < kRows; ++r) part[r] = zero();
      }
      F(&to)[kRows] = Format::kLong ? part : acc;
      for (int b = 0; b < Format::kBlocksEach; ++b) {
        I w[8];
        unpack<Format>(panel, w);
        if (first) {
          stream.fetch(block_bytes);
          scales.prefetch_ahead(kScaleBytesAhead);
        }
        scales.next_block();
        add_groups_of_rows<Format, 0>(to, w, x, code_at, entry_at, scales);
        if constexpr (Format::kGroups == 2) {
          add_groups_of_rows<Format, 1>(to, w, x, code_at, entry_at, scales);
        }
        panel += kBlockBytes;
        code_at += 32;
        entry_at += kEntryBytes;
      }
      if constexpr (Format::kLong) {
        FATHOM_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const int64_t first_at = entry_at - Format::kBlocksEach * kEntryBytes;
          const F sum = set1(folded_sum<Format>(x[r], first_at));
          acc[r] = weighed<Format>(part[r], sum, scales.scale[0], scales.minimum[0], acc[r]);
        }
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
