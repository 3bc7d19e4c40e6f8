// From stored blocks to panels. Loading a model waits for this, so blocks of all lanes go side by
// side (their codes fill whole vectors) and codes are moved four at a time, in dwords.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"
#include "kernels/packed/panel_sections.h"
#include "tensor/blocks.h"

namespace fathom {
namespace {

uint32_t load_dword(const void* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

// The dwords that a block of 32 codes gives its lane: one for each vector of the block. `codes`
// below are eight dwords too, of one code in each byte.
using Dwords = std::array<uint32_t, 8>;

Dwords load_dwords(const uint8_t* bytes) {
  Dwords dwords;
  std::memcpy(dwords.data(), bytes, sizeof dwords);
  return dwords;
}

// Four bits of each byte at kShift, as the planes of nibbles.
template <int kShift>
void nibble_planes(const Dwords& bytes, uint32_t* planes) {
  for (size_t p = 0; p < 4; ++p) {
    planes[p] =
        ((bytes[p] >> kShift) & 0x0f0f0f0fU) | (((bytes[p + 4] >> kShift) & 0x0f0f0f0fU) << 4);
  }
}

// Two bits of each byte at `shift`, as the planes of pairs.
void pair_planes(const Dwords& bytes, size_t shift, uint32_t* planes) {
  for (size_t t = 0; t < 2; ++t) {
    planes[t] = 0;
    for (size_t i = 0; i < 4; ++i) {
      planes[t] |= ((bytes[4 * t + i] >> shift) & 0x03030303U) << (2 * i);
    }
  }
}

// One bit of each byte at `shift`, as the plane of single bits.
uint32_t single_plane(const Dwords& bytes, size_t shift) {
  uint32_t plane = 0;
  for (size_t j = 0; j < 8; ++j) plane |= ((bytes[j] >> shift) & 0x01010101U) << j;
  return plane;
}

// Bit 4j + c of x becomes bit j of byte c.
uint32_t spread_bits(uint32_t x) {
  uint32_t plane = 0;
  for (uint32_t c = 0; c < 4; ++c) {
    uint32_t bits = (x >> c) & 0x11111111U;
    bits = (bits | (bits >> 3)) & 0x03030303U;
    bits = (bits | (bits >> 6)) & 0x000f000fU;
    bits = (bits | (bits >> 12)) & 0xffU;
    plane |= bits << (8 * c);
  }
  return plane;
}

// --- The planes of 32 codes, number b of a stored block -----------------------------------------

// Q4_0 and Q4_1 store just these planes.
void planes_of(const blocks::Q4_0& block, size_t /*b*/, Dwords& to) {
  std::memcpy(to.data(), block.qs.data(), 16);
}
void planes_of(const blocks::Q4_1& block, size_t /*b*/, Dwords& to) {
  std::memcpy(to.data(), block.qs.data(), 16);
}
template <typename Block>
void five_bit_planes(const Block& block, Dwords& to) {
  std::memcpy(to.data(), block.qs.data(), 16);
  to[4] = spread_bits(load_dword(block.qh.data()));
}
void planes_of(const blocks::Q5_0& block, size_t /*b*/, Dwords& to) {
  five_bit_planes(block, to);
}
void planes_of(const blocks::Q5_1& block, size_t /*b*/, Dwords& to) {
  five_bit_planes(block, to);
}
void planes_of(const blocks::Q8_0& block, size_t /*b*/, Dwords& to) {
  std::memcpy(to.data(), block.qs.data(), 32);
}
void planes_of(const blocks::Q2_K& block, size_t b, Dwords& to) {
  pair_planes(load_dwords(&block.qs[b / 4 * 32]), 2 * (b % 4), to.data());
}
void planes_of(const blocks::Q3_K& block, size_t b, Dwords& to) {
  pair_planes(load_dwords(&block.qs[b / 4 * 32]), 2 * (b % 4), to.data());
  to[2] = single_plane(load_dwords(block.hmask.data()), b);
}
template <typename Block>
void k_nibble_planes(const Block& block, size_t b, Dwords& to) {
  const Dwords bytes = load_dwords(&block.qs[b / 2 * 32]);
  if (b % 2 == 0) {
    nibble_planes<0>(bytes, to.data());
  } else {
    nibble_planes<4>(bytes, to.data());
  }
}
void planes_of(const blocks::Q4_K& block, size_t b, Dwords& to) {
  k_nibble_planes(block, b, to);
}
void planes_of(const blocks::Q5_K& block, size_t b, Dwords& to) {
  k_nibble_planes(block, b, to);
  to[4] = single_plane(load_dwords(block.qh.data()), b);
}
void planes_of(const blocks::Q6_K& block, size_t b, Dwords& to) {
  const size_t half = b / 4;
  const size_t quarter = b % 4;
  const Dwords low = load_dwords(&block.ql[half * 64 + quarter % 2 * 32]);
  if (quarter < 2) {
    nibble_planes<0>(low, to.data());
  } else {
    nibble_planes<4>(low, to.data());
  }
  pair_planes(load_dwords(&block.qh[half * 32]), 2 * quarter, &to[4]);
}
// Neighbouring codes in the two halves of a byte.
void sequential_planes(const uint8_t* qs, Dwords& to) {
  Dwords codes;
  for (size_t j = 0; j < 8; ++j) {
    uint32_t x = static_cast<uint32_t>(qs[2 * j]) | static_cast<uint32_t>(qs[2 * j + 1]) << 8;
    x = (x | (x << 8)) & 0x00ff00ffU;
    codes[j] = (x | (x << 4)) & 0x0f0f0f0fU;
  }
  nibble_planes<0>(codes, to.data());
}
template <size_t kElements>
void planes_of(const blocks::Int4<kElements>& block, size_t b, Dwords& to) {
  sequential_planes(&block.qs[b * 16], to);
}
template <size_t kElements>
void planes_of(const blocks::Int4Zero<kElements>& block, size_t b, Dwords& to) {
  sequential_planes(&block.qs[b * 16], to);
}
template <size_t kElements>
void planes_of(const blocks::Int8<kElements>& block, size_t b, Dwords& to) {
  std::memcpy(to.data(), &block.qs[b * 32], 32);
}
void planes_of(const blocks::Int8Row& block, size_t /*b*/, Dwords& to) {
  std::memcpy(to.data(), block.qs.data(), 32);
}

// --- The scales of a stored block ---------------------------------------------------------------

// Where the scales of stored block s of a lane go.
struct ScalePlaces {
  panel::Sections at;
  int64_t width;
  int64_t position;  // s * width + lane

  void put_d(blocks::Half d) const { std::memcpy(at.d + position * 2, d.data(), 2); }
  void put_m(blocks::Half m) const { std::memcpy(at.m + position * 2, m.data(), 2); }
  // Byte g of `groups` in a stored block.
  std::byte& byte(std::byte* section, int64_t groups, int64_t g) const {
    const int64_t s = position / width;
    return section[(s * groups + g) * width + position % width];
  }
};

template <typename Block>
void put_scales(const Block& block, const ScalePlaces& places) {
  if constexpr (requires { block.d; }) places.put_d(block.d);
  if constexpr (requires { block.m; }) places.put_m(block.m);
  if constexpr (requires { block.dmin; }) places.put_m(block.dmin);
  if constexpr (requires { block.zero; }) {
    places.at.minimums[places.position] = static_cast<std::byte>(block.zero);
  }
}
void put_scales(const blocks::Q2_K& block, const ScalePlaces& places) {
  put_scales<blocks::Q2_K>(block, places);
  for (int64_t g = 0; g < 16; ++g) {
    places.byte(places.at.scales, 16, g) =
        static_cast<std::byte>(block.scales[static_cast<size_t>(g)]);
  }
}
void put_scales(const blocks::Q3_K& block, const ScalePlaces& places) {
  put_scales<blocks::Q3_K>(block, places);
  for (int64_t g = 0; g < 16; ++g) {
    places.byte(places.at.scales, 16, g) =
        static_cast<std::byte>(blocks::unpack_q3(block.scales, static_cast<size_t>(g)) - 32);
  }
}
template <typename Block>
void put_k4_scales(const Block& block, const ScalePlaces& places) {
  put_scales<Block>(block, places);
  for (int64_t g = 0; g < 8; ++g) {
    const auto [scale, min] = blocks::unpack_k4(block.scales, static_cast<size_t>(g));
    places.byte(places.at.scales, 8, g) = static_cast<std::byte>(scale);
    places.byte(places.at.minimums, 8, g) = static_cast<std::byte>(min);
  }
}
void put_scales(const blocks::Q4_K& block, const ScalePlaces& places) {
  put_k4_scales(block, places);
}
void put_scales(const blocks::Q5_K& block, const ScalePlaces& places) {
  put_k4_scales(block, places);
}
void put_scales(const blocks::Q6_K& block, const ScalePlaces& places) {
  put_scales<blocks::Q6_K>(block, places);
  for (int64_t g = 0; g < 16; ++g) {
    places.byte(places.at.scales, 16, g) =
        static_cast<std::byte>(block.scales[static_cast<size_t>(g)]);
  }
}

// --- Whole panels --------------------------------------------------------------------------------

struct Rows {
  const std::byte* first;
  int64_t stride;  // bytes
  int64_t count;
};

template <typename Block, int kBits>
void pack_codes(const PanelLayout& layout, const Rows& rows, std::byte* panel) {
  constexpr auto kVectors = static_cast<size_t>(kBits);
  const int64_t vector_bytes = layout.width * 4;
  const int64_t stored_elements = info(layout.dtype).block_elements;
  const auto blocks_each = static_cast<size_t>(stored_elements / panel::kBlock);
  const uint32_t flip = kBits == 8 && layout.unsigned8 ? 0x80808080U : 0;
  ScalePlaces places{panel::sections(layout, panel), layout.width, 0};
  std::byte* codes = panel;
  for (int64_t s = 0; s < layout.in / stored_elements; ++s) {
    for (int64_t lane = 0; lane < rows.count; ++lane) {
      Block block;
      std::memcpy(&block, rows.first + lane * rows.stride + s * int64_t{sizeof block},
                  sizeof block);
      std::byte* to = codes + lane * 4;
      for (size_t b = 0; b < blocks_each; ++b) {
        Dwords planes;
        planes_of(block, b, planes);
        for (size_t v = 0; v < kVectors; ++v, to += vector_bytes) {
          const uint32_t dword = planes[v] ^ flip;
          std::memcpy(to, &dword, sizeof dword);
        }
      }
      places.position = s * layout.width + lane;
      put_scales(block, places);
    }
    codes += static_cast<int64_t>(blocks_each * kVectors) * vector_bytes;
  }
}

template <typename Element>
void pack_floats(const PanelLayout& layout, const Rows& rows, std::byte* panel) {
  std::array<int64_t, 64> place;
  FATHOM_ASSERT(layout.width <= static_cast<int64_t>(place.size()));
  for (int64_t lane = 0; lane < rows.count; ++lane) {
    place[static_cast<size_t>(lane)] = panel::float_place(layout, lane) * int64_t{sizeof(Element)};
  }
  for (int64_t k = 0; k < layout.in; ++k) {
    for (int64_t lane = 0; lane < rows.count; ++lane) {
      std::memcpy(panel + place[static_cast<size_t>(lane)],
                  rows.first + lane * rows.stride + k * int64_t{sizeof(Element)}, sizeof(Element));
    }
    panel += layout.width * int64_t{sizeof(Element)};
  }
}

void pack_rows(const PanelLayout& layout, const Rows& rows, std::byte* panel) {
  switch (layout.dtype) {
    case DType::kF32:
      return pack_floats<uint32_t>(layout, rows, panel);
    case DType::kF16:
    case DType::kBF16:
      return pack_floats<uint16_t>(layout, rows, panel);
    case DType::kF8E4M3:
      return pack_floats<uint8_t>(layout, rows, panel);
    case DType::kQ4_0:
      return pack_codes<blocks::Q4_0, 4>(layout, rows, panel);
    case DType::kQ4_1:
      return pack_codes<blocks::Q4_1, 4>(layout, rows, panel);
    case DType::kQ5_0:
      return pack_codes<blocks::Q5_0, 5>(layout, rows, panel);
    case DType::kQ5_1:
      return pack_codes<blocks::Q5_1, 5>(layout, rows, panel);
    case DType::kQ8_0:
      return pack_codes<blocks::Q8_0, 8>(layout, rows, panel);
    case DType::kQ2_K:
      return pack_codes<blocks::Q2_K, 2>(layout, rows, panel);
    case DType::kQ3_K:
      return pack_codes<blocks::Q3_K, 3>(layout, rows, panel);
    case DType::kQ4_K:
      return pack_codes<blocks::Q4_K, 4>(layout, rows, panel);
    case DType::kQ5_K:
      return pack_codes<blocks::Q5_K, 5>(layout, rows, panel);
    case DType::kQ6_K:
      return pack_codes<blocks::Q6_K, 6>(layout, rows, panel);
    case DType::kI4_64:
      return pack_codes<blocks::Int4<64>, 4>(layout, rows, panel);
    case DType::kI4_128:
      return pack_codes<blocks::Int4<128>, 4>(layout, rows, panel);
    case DType::kI4Z_32:
      return pack_codes<blocks::Int4Zero<32>, 4>(layout, rows, panel);
    case DType::kI4Z_64:
      return pack_codes<blocks::Int4Zero<64>, 4>(layout, rows, panel);
    case DType::kI4Z_128:
      return pack_codes<blocks::Int4Zero<128>, 4>(layout, rows, panel);
    case DType::kI8_128:
      return pack_codes<blocks::Int8<128>, 8>(layout, rows, panel);
    case DType::kI8Row:
      return pack_codes<blocks::Int8Row, 8>(layout, rows, panel);
    default:
      FATHOM_ASSERT(info(layout.dtype).computable);
  }
}

}  // namespace

void pack_panel(const PanelLayout& layout, const Tensor& matrix, int64_t row, std::byte* panel) {
  const int64_t row_bytes = byte_size(layout.dtype, layout.in);
  const int64_t rows = std::min(layout.width, matrix.shape[0] - row);
  if (rows < layout.width || !has_codes(layout.dtype)) {
    std::memset(panel, 0, static_cast<size_t>(layout.bytes));
  } else {
    // What rounding up to whole lines adds.
    std::memset(panel + layout.bytes - 64, 0, 64);
  }
  pack_rows(layout, {matrix.data + row * row_bytes, row_bytes, rows}, panel);
  std::byte* scales = panel + layout.scale_offset;
  if (layout.dtype == DType::kF8E4M3) {
    const int64_t blocks =
        panel::round_up(layout.in, panel::kF8ScaleColumns) / panel::kF8ScaleColumns;
    for (int64_t b = 0; b < blocks; ++b) {
      const float scale =
          matrix.block_scales == nullptr ? 1.0F : matrix.block_scales[row / 128 * blocks + b];
      std::memcpy(scales + b * 4, &scale, 4);
    }
  }
  if (layout.dtype == DType::kI8Row) {
    for (int64_t lane = 0; lane < rows; ++lane) {
      const float scale = matrix.block_scales == nullptr ? 1.0F : matrix.block_scales[row + lane];
      std::memcpy(scales + lane * 4, &scale, 4);
    }
  }
}

}  // namespace fathom
