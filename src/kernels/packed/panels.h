// The layout of packed weights. A panel holds `width` consecutive output rows, interleaved along K
// so that one vector load feeds one element of K (floats) or four (codes) to every lane.
//
// Codes ("integer formats"), width = one float vector (8 with AVX2, 16 with AVX-512). K is cut into
// blocks of 32. A block is eight code vectors; byte c of lane l of vector j is element 4j + c of
// row l. They are stored as bit planes, so a panel is as small as the checkpoint's blocks:
//   4 bits: vector p | vector (p + 4) << 4, p < 4         (1 plane group of 4 vectors)
//   2 bits: vectors 4t .. 4t + 3 at bits 0, 2, 4, 6       (2 vectors)
//   1 bit:  vector j at bit j                             (1 vector)
//   5 = 4 + 1 bits, 6 = 4 + 2, 3 = 2 + 1, 8 = eight whole vectors.
// After all blocks of the panel come the scales, each section [.., width]:
//   Q4_0 Q5_0 Q8_0: F16 scale of each block;  Q4_1 Q5_1: and F16 minimum of each block
//   K types: F16 d of each 256 elements, F16 dmin (Q2_K, Q4_K, Q5_K), then a byte for the scale of
//   each group (16 elements in Q2_K, Q3_K, Q6_K, otherwise 32); Q4_K and Q5_K: a byte for its
//   minimum. Q2_K's byte holds scale | minimum << 4, as stored.
//   I4 and I8 groups: F16 scale of each group, then, if it has one, a byte for its zero point
//   I8_ROW: F32 scale of each row
// Floats, width = two float vectors, or one for F32 and F16 matrices that have no more rows
// ("narrow"): [in][width] elements as stored; BF16 as dwords of rows
// l (low half) and l + width / 2 (high half); FP8 codes, then one F32 scale for each 128 of K.
// Rows beyond the matrix are zero. All sections start at multiples of 32 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/tensor.h"

namespace fathom {

// Packed weights are kept on disk. Count this up with every change of what pack() writes, or files
// of before would be taken for today's; a test that knows today's bytes reminds you.
inline constexpr uint32_t kPackedLayoutVersion = 1;

// How the codes of a type are laid out; the kernels repeat these facts at compile time.
struct CodeFormat {
  int bits = 0;    // of a code
  int offset = 0;  // subtracted from a code
  int group = 32;  // elements that share a scale, unless the row does
  bool minimum = false;
  bool super_blocks = false;  // a K type
  bool zero_point = false;    // the minimum is -scale * a byte
  bool row_scale = false;
};
bool has_codes(DType dtype);  // false: a float format
CodeFormat code_format(DType dtype);

struct PanelLayout {
  DType dtype = DType::kF32;
  int64_t in = 0;
  int64_t width = 0;         // rows of a panel
  bool unsigned8 = false;    // 8-bit codes are stored plus 128
  bool narrow = false;       // floats, one vector wide
  int64_t scale_offset = 0;  // bytes from a panel's start to its scales
  int64_t bytes = 0;         // of a panel, a multiple of 64

  PanelLayout(DType dtype, int64_t in, int lanes, bool unsigned8, bool narrow = false);
};

// Fills one panel with rows [row, row + width) of the matrix, fewer at its end.
void pack_panel(const PanelLayout& layout, const Tensor& matrix, int64_t row, std::byte* panel);

// Decodes one row of a panel to out[in]: exactly what dequantize_rows gives.
void unpack_row(const PanelLayout& layout, const std::byte* panel, int64_t lane, float* out);

}  // namespace fathom
