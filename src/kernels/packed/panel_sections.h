// Where things lie inside a panel: shared by packing and unpacking (panels.h has the layout).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/packed/panels.h"

namespace fathom::panel {

inline constexpr int64_t kBlock = 32;
inline constexpr int64_t kSuper = 256;
inline constexpr int64_t kF8ScaleColumns = 128;

inline int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// Vectors of a block of codes.
inline int64_t code_vectors(int bits) {
  return bits == 8 ? 8 : bits;
}

// Elements that share an F16 scale.
inline int64_t elements_per_d(const CodeFormat& format) {
  return format.super_blocks ? kSuper : format.group > kBlock ? format.group : kBlock;
}

struct Sections {
  std::byte* d;         // F16 scales, or F32 ones of rows
  std::byte* m;         // F16 minimums of blocks, or dmin
  std::byte* scales;    // K types: a byte for each group
  std::byte* minimums;  // Q4_K, Q5_K: a byte for each group; or zero points
};
Sections sections(const PanelLayout& layout, std::byte* panel);

inline int64_t element_bytes(DType dtype) {
  return info(dtype).block_bytes;
}

// Where a lane of a row of floats lies: BF16 pairs lane l with lane l + width / 2.
inline int64_t float_place(const PanelLayout& layout, int64_t lane) {
  if (layout.dtype != DType::kBF16) return lane;
  const int64_t half = layout.width / 2;
  return lane < half ? 2 * lane : 2 * (lane - half) + 1;
}

}  // namespace fathom::panel
