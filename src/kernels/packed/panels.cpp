#include "kernels/packed/panels.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"
#include "tensor/blocks.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

constexpr int64_t kBlock = 32;
constexpr int64_t kSuper = 256;
constexpr int64_t kF8ScaleColumns = 128;

int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

// --- Stored blocks to codes and scales ---------------------------------------------------------

// What a stored block says, with its bit-packing undone; K types fill eight entries of `codes`.
struct Decoded {
  std::array<std::array<uint8_t, 32>, 8> codes;
  std::array<uint8_t, 16> scales;    // K types
  std::array<uint8_t, 16> minimums;  // Q4_K, Q5_K
  blocks::Half d, m;
};

void split_nibbles(const std::array<uint8_t, 16>& qs, std::array<uint8_t, 32>& codes) {
  for (size_t i = 0; i < 16; ++i) {
    codes[i] = qs[i] & 15;
    codes[i + 16] = qs[i] >> 4;
  }
}

void add_fifth_bits(const std::array<uint8_t, 4>& qh, std::array<uint8_t, 32>& codes) {
  for (size_t i = 0; i < 32; ++i) {
    codes[i] = static_cast<uint8_t>(codes[i] | (((qh[i / 8] >> (i % 8)) & 1) << 4));
  }
}

void read(const blocks::Q4_0& block, Decoded& out) {
  out.d = block.d;
  split_nibbles(block.qs, out.codes[0]);
}

void read(const blocks::Q4_1& block, Decoded& out) {
  out.d = block.d;
  out.m = block.m;
  split_nibbles(block.qs, out.codes[0]);
}

void read(const blocks::Q5_0& block, Decoded& out) {
  out.d = block.d;
  split_nibbles(block.qs, out.codes[0]);
  add_fifth_bits(block.qh, out.codes[0]);
}

void read(const blocks::Q5_1& block, Decoded& out) {
  out.d = block.d;
  out.m = block.m;
  split_nibbles(block.qs, out.codes[0]);
  add_fifth_bits(block.qh, out.codes[0]);
}

void read(const blocks::Q8_0& block, Decoded& out) {
  out.d = block.d;
  std::memcpy(out.codes[0].data(), block.qs.data(), 32);
}

void read(const blocks::Q2_K& block, Decoded& out) {
  out.d = block.d;
  out.m = block.dmin;
  out.scales = block.scales;
  for (size_t b = 0; b < 8; ++b) {
    for (size_t i = 0; i < 32; ++i) {
      out.codes[b][i] = (block.qs[b / 4 * 32 + i] >> (2 * (b % 4))) & 3;
    }
  }
}

void read(const blocks::Q3_K& block, Decoded& out) {
  out.d = block.d;
  for (size_t g = 0; g < 16; ++g) {
    out.scales[g] = static_cast<uint8_t>(blocks::unpack_q3(block.scales, g) - 32);
  }
  for (size_t b = 0; b < 8; ++b) {
    for (size_t i = 0; i < 32; ++i) {
      const int low = (block.qs[b / 4 * 32 + i] >> (2 * (b % 4))) & 3;
      out.codes[b][i] = static_cast<uint8_t>(low | (((block.hmask[i] >> b) & 1) << 2));
    }
  }
}

template <typename Block>
void read_k4(const Block& block, Decoded& out) {
  out.d = block.d;
  out.m = block.dmin;
  for (size_t b = 0; b < 8; ++b) {
    const auto [scale, min] = blocks::unpack_k4(block.scales, b);
    out.scales[b] = static_cast<uint8_t>(scale);
    out.minimums[b] = static_cast<uint8_t>(min);
    const int shift = b % 2 == 0 ? 0 : 4;
    for (size_t i = 0; i < 32; ++i) out.codes[b][i] = (block.qs[b / 2 * 32 + i] >> shift) & 15;
  }
}

void read(const blocks::Q4_K& block, Decoded& out) {
  read_k4(block, out);
}

void read(const blocks::Q5_K& block, Decoded& out) {
  read_k4(block, out);
  for (size_t b = 0; b < 8; ++b) {
    for (size_t i = 0; i < 32; ++i) {
      out.codes[b][i] = static_cast<uint8_t>(out.codes[b][i] | (((block.qh[i] >> b) & 1) << 4));
    }
  }
}

void read(const blocks::Q6_K& block, Decoded& out) {
  out.d = block.d;
  std::memcpy(out.scales.data(), block.scales.data(), 16);
  for (size_t b = 0; b < 8; ++b) {
    const size_t half = b / 4;
    const size_t quarter = b % 4;
    const int nibble = quarter < 2 ? 0 : 4;
    for (size_t i = 0; i < 32; ++i) {
      const int low = (block.ql[half * 64 + quarter % 2 * 32 + i] >> nibble) & 15;
      const int high = (block.qh[half * 32 + i] >> (2 * quarter)) & 3;
      out.codes[b][i] = static_cast<uint8_t>(low | (high << 4));
    }
  }
}

template <typename Block>
void read_stored(const std::byte* stored, Decoded& out) {
  Block block;
  std::memcpy(&block, stored, sizeof block);
  read(block, out);
}

using ReadBlock = void (*)(const std::byte*, Decoded&);

ReadBlock reader(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return read_stored<blocks::Q4_0>;
    case DType::kQ4_1:
      return read_stored<blocks::Q4_1>;
    case DType::kQ5_0:
      return read_stored<blocks::Q5_0>;
    case DType::kQ5_1:
      return read_stored<blocks::Q5_1>;
    case DType::kQ8_0:
      return read_stored<blocks::Q8_0>;
    case DType::kQ2_K:
      return read_stored<blocks::Q2_K>;
    case DType::kQ3_K:
      return read_stored<blocks::Q3_K>;
    case DType::kQ4_K:
      return read_stored<blocks::Q4_K>;
    case DType::kQ5_K:
      return read_stored<blocks::Q5_K>;
    case DType::kQ6_K:
      return read_stored<blocks::Q6_K>;
    default:
      FATHOM_ASSERT(has_codes(dtype));
      return nullptr;
  }
}

// --- Codes to bit planes and back ---------------------------------------------------------------

// A lane's share of a block: one dword of each vector.
uint32_t load_dword(const std::byte* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

void store_dword(std::byte* p, uint32_t value) {
  std::memcpy(p, &value, sizeof value);
}

struct Planes {
  int64_t vectors;  // of a block
  bool nibbles, pairs, single, bytes;
};

Planes planes(int bits) {
  switch (bits) {
    case 2:
      return {2, false, true, false, false};
    case 3:
      return {3, false, true, true, false};
    case 4:
      return {4, true, false, false, false};
    case 5:
      return {5, true, false, true, false};
    case 6:
      return {6, true, true, false, false};
    default:
      return {8, false, false, false, true};
  }
}

// `to` is the lane's dword of the block's first vector, `step` the bytes of a vector.
void store_codes(const std::array<uint8_t, 32>& codes, int bits, std::byte* to, int64_t step) {
  std::array<uint32_t, 8> q;
  std::memcpy(q.data(), codes.data(), 32);
  const Planes plane = planes(bits);
  if (plane.bytes) {
    for (size_t j = 0; j < 8; ++j, to += step) store_dword(to, q[j]);
    return;
  }
  uint32_t taken = 0;  // bits already stored
  if (plane.nibbles) {
    for (size_t p = 0; p < 4; ++p, to += step) {
      store_dword(to, (q[p] & 0x0f0f0f0fU) | ((q[p + 4] & 0x0f0f0f0fU) << 4));
    }
    taken = 4;
  }
  if (plane.pairs) {
    for (size_t t = 0; t < 2; ++t, to += step) {
      uint32_t all = 0;
      for (size_t i = 0; i < 4; ++i) all |= ((q[4 * t + i] >> taken) & 0x03030303U) << (2 * i);
      store_dword(to, all);
    }
    taken += 2;
  }
  if (plane.single) {
    uint32_t all = 0;
    for (size_t j = 0; j < 8; ++j) all |= ((q[j] >> taken) & 0x01010101U) << j;
    store_dword(to, all);
  }
}

void load_codes(const std::byte* from, int64_t step, int bits, std::array<uint8_t, 32>& codes) {
  std::array<uint32_t, 8> q{};
  const Planes plane = planes(bits);
  uint32_t taken = 0;
  if (plane.bytes) {
    for (size_t j = 0; j < 8; ++j, from += step) q[j] = load_dword(from);
  }
  if (plane.nibbles) {
    for (size_t p = 0; p < 4; ++p, from += step) {
      const uint32_t both = load_dword(from);
      q[p] = both & 0x0f0f0f0fU;
      q[p + 4] = (both >> 4) & 0x0f0f0f0fU;
    }
    taken = 4;
  }
  if (plane.pairs) {
    for (size_t t = 0; t < 2; ++t, from += step) {
      const uint32_t all = load_dword(from);
      for (size_t i = 0; i < 4; ++i) q[4 * t + i] |= ((all >> (2 * i)) & 0x03030303U) << taken;
    }
    taken += 2;
  }
  if (plane.single) {
    const uint32_t all = load_dword(from);
    for (size_t j = 0; j < 8; ++j) q[j] |= ((all >> j) & 0x01010101U) << taken;
  }
  std::memcpy(codes.data(), q.data(), 32);
}

// --- Where a panel's sections begin
// ---------------------------------------------------------------

struct Sections {
  std::byte* d;
  std::byte* m;         // block minimums, or dmin
  std::byte* scales;    // K types: a byte for each group
  std::byte* minimums;  // Q4_K, Q5_K
};

Sections sections(const PanelLayout& layout, std::byte* panel) {
  const CodeFormat format = code_format(layout.dtype);
  const int64_t per_d = format.super_blocks ? kSuper : kBlock;
  const int64_t d_bytes = layout.in / per_d * layout.width * 2;
  const int64_t group_bytes = layout.in / format.group * layout.width;
  Sections at{};
  at.d = panel + layout.scale_offset;
  at.m = at.d + d_bytes;
  at.scales = format.minimum ? at.m + d_bytes : at.m;
  at.minimums = at.scales + group_bytes;
  return at;
}

// --- Integer formats -----------------------------------------------------------------------------

void pack_codes(const PanelLayout& layout, const std::byte* stored, int64_t lane,
                std::byte* panel) {
  const CodeFormat format = code_format(layout.dtype);
  const ReadBlock read_block = reader(layout.dtype);
  const int64_t vector_bytes = layout.width * 4;
  const int64_t block_bytes = planes(format.bits).vectors * vector_bytes;
  const int64_t stored_elements = info(layout.dtype).block_elements;
  const int64_t blocks_each = stored_elements / kBlock;
  const int64_t groups_each = stored_elements / format.group;
  const Sections at = sections(layout, panel);
  Decoded decoded;
  for (int64_t s = 0; s < layout.in / stored_elements; ++s) {
    read_block(stored + s * info(layout.dtype).block_bytes, decoded);
    for (int64_t b = 0; b < blocks_each; ++b) {
      auto& codes = decoded.codes[static_cast<size_t>(b)];
      if (format.bits == 8 && layout.unsigned8) {
        for (uint8_t& code : codes) code = static_cast<uint8_t>(code ^ 0x80U);
      }
      store_codes(codes, format.bits, panel + (s * blocks_each + b) * block_bytes + lane * 4,
                  vector_bytes);
    }
    std::memcpy(at.d + (s * layout.width + lane) * 2, decoded.d.data(), 2);
    if (format.minimum) std::memcpy(at.m + (s * layout.width + lane) * 2, decoded.m.data(), 2);
    if (!format.super_blocks) continue;
    for (int64_t g = 0; g < groups_each; ++g) {
      const int64_t position = (s * groups_each + g) * layout.width + lane;
      at.scales[position] = static_cast<std::byte>(decoded.scales[static_cast<size_t>(g)]);
      if (format.minimum && format.group == 32) {
        at.minimums[position] = static_cast<std::byte>(decoded.minimums[static_cast<size_t>(g)]);
      }
    }
  }
}

float half_at(const std::byte* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return half_to_float(bits);
}

// The arithmetic is tensor/dequantize's, operation by operation.
void unpack_codes(const PanelLayout& layout, const std::byte* panel, int64_t lane, float* out) {
  const CodeFormat format = code_format(layout.dtype);
  const int64_t vector_bytes = layout.width * 4;
  const int64_t block_bytes = planes(format.bits).vectors * vector_bytes;
  const Sections at = sections(layout, const_cast<std::byte*>(panel));
  const int64_t per_d = format.super_blocks ? kSuper : kBlock;
  std::array<uint8_t, 32> codes;
  for (int64_t b = 0; b < layout.in / kBlock; ++b) {
    load_codes(panel + b * block_bytes + lane * 4, vector_bytes, format.bits, codes);
    for (int64_t i = 0; i < kBlock; ++i) {
      const int64_t element = b * kBlock + i;
      const int64_t d_at = (element / per_d * layout.width + lane) * 2;
      float scale = half_at(at.d + d_at);
      float minimum = format.minimum ? half_at(at.m + d_at) : 0.0F;
      if (format.super_blocks) {
        const int64_t group = element / format.group * layout.width + lane;
        const auto byte = static_cast<uint8_t>(at.scales[group]);
        if (layout.dtype == DType::kQ2_K) {
          scale *= static_cast<float>(byte & 15);
          minimum *= static_cast<float>(byte >> 4);
        } else if (format.minimum) {
          scale *= static_cast<float>(byte);
          minimum *= static_cast<float>(static_cast<uint8_t>(at.minimums[group]));
        } else {
          scale *= static_cast<float>(static_cast<int8_t>(byte));
        }
        minimum = -minimum;
      }
      int code = codes[static_cast<size_t>(i)];
      if (format.bits == 8) {
        code = layout.unsigned8 ? code - 128 : static_cast<int8_t>(static_cast<uint8_t>(code));
      }
      const float value = scale * static_cast<float>(code - format.offset);
      out[element] = format.minimum ? value + minimum : value;
    }
  }
}

// --- Float formats -------------------------------------------------------------------------------

int64_t element_bytes(DType dtype) {
  return info(dtype).block_bytes;
}

// Where element k of a lane lies, in bytes. BF16 pairs lane l with lane l + width / 2.
int64_t float_position(const PanelLayout& layout, int64_t k, int64_t lane) {
  int64_t place = lane;
  if (layout.dtype == DType::kBF16) {
    const int64_t half = layout.width / 2;
    place = lane < half ? 2 * lane : 2 * (lane - half) + 1;
  }
  return (k * layout.width + place) * element_bytes(layout.dtype);
}

void pack_floats(const PanelLayout& layout, const std::byte* stored, int64_t lane,
                 std::byte* panel) {
  const int64_t size = element_bytes(layout.dtype);
  for (int64_t k = 0; k < layout.in; ++k) {
    std::memcpy(panel + float_position(layout, k, lane), stored + k * size,
                static_cast<size_t>(size));
  }
}

void unpack_floats(const PanelLayout& layout, const std::byte* panel, int64_t lane, float* out) {
  const auto* scales = reinterpret_cast<const float*>(panel + layout.scale_offset);
  for (int64_t k = 0; k < layout.in; ++k) {
    const std::byte* p = panel + float_position(layout, k, lane);
    dequantize(layout.dtype, p, 1, out + k);
    if (layout.dtype == DType::kF8E4M3) out[k] *= scales[k / kF8ScaleColumns];
  }
}

}  // namespace

bool has_codes(DType dtype) {
  return info(dtype).quantized;
}

CodeFormat code_format(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return {.bits = 4, .offset = 8};
    case DType::kQ4_1:
      return {.bits = 4, .minimum = true};
    case DType::kQ5_0:
      return {.bits = 5, .offset = 16};
    case DType::kQ5_1:
      return {.bits = 5, .minimum = true};
    case DType::kQ8_0:
      return {.bits = 8};
    case DType::kQ2_K:
      return {.bits = 2, .group = 16, .minimum = true, .super_blocks = true};
    case DType::kQ3_K:
      return {.bits = 3, .offset = 4, .group = 16, .super_blocks = true};
    case DType::kQ4_K:
      return {.bits = 4, .minimum = true, .super_blocks = true};
    case DType::kQ5_K:
      return {.bits = 5, .minimum = true, .super_blocks = true};
    case DType::kQ6_K:
      return {.bits = 6, .offset = 32, .group = 16, .super_blocks = true};
    default:
      FATHOM_ASSERT(has_codes(dtype));
      return {};
  }
}

PanelLayout::PanelLayout(DType type, int64_t in_elements, int lanes, bool unsigned_codes)
    : dtype(type), in(in_elements), unsigned8(unsigned_codes) {
  if (!has_codes(dtype)) {
    width = 2 * lanes;
    scale_offset = round_up(in * width * element_bytes(dtype), 32);
    const int64_t scales = dtype == DType::kF8E4M3 ? round_up(in, kF8ScaleColumns) / 128 * 4 : 0;
    bytes = round_up(scale_offset + scales, 64);
    return;
  }
  FATHOM_ASSERT(in % info(dtype).block_elements == 0);
  const CodeFormat format = code_format(dtype);
  width = lanes;
  scale_offset = in / kBlock * planes(format.bits).vectors * width * 4;
  const int64_t per_d = format.super_blocks ? kSuper : kBlock;
  int64_t scales = in / per_d * width * 2 * (format.minimum ? 2 : 1);
  if (format.super_blocks) {
    scales += in / format.group * width * (format.minimum && format.group == 32 ? 2 : 1);
  }
  bytes = round_up(scale_offset + scales, 64);
}

void pack_panel(const PanelLayout& layout, const Tensor& matrix, int64_t row, std::byte* panel) {
  const int64_t row_bytes = byte_size(layout.dtype, layout.in);
  const int64_t rows = std::min(layout.width, matrix.shape[0] - row);
  for (int64_t lane = 0; lane < rows; ++lane) {
    const std::byte* stored = matrix.data + (row + lane) * row_bytes;
    if (has_codes(layout.dtype)) {
      pack_codes(layout, stored, lane, panel);
    } else {
      pack_floats(layout, stored, lane, panel);
    }
  }
  if (layout.dtype == DType::kF8E4M3) {
    const int64_t blocks = round_up(layout.in, kF8ScaleColumns) / kF8ScaleColumns;
    auto* scales = reinterpret_cast<float*>(panel + layout.scale_offset);
    for (int64_t b = 0; b < blocks; ++b) {
      scales[b] =
          matrix.block_scales == nullptr ? 1.0F : matrix.block_scales[row / 128 * blocks + b];
    }
  }
}

void unpack_row(const PanelLayout& layout, const std::byte* panel, int64_t lane, float* out) {
  if (has_codes(layout.dtype)) {
    unpack_codes(layout, panel, lane, out);
  } else {
    unpack_floats(layout, panel, lane, out);
  }
}

}  // namespace fathom
