// From panels back to floats: the embedding of a token. The arithmetic is tensor/dequantize's,
// operation by operation.
#include <array>
#include <cstring>

#include "kernels/packed/panel_sections.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

uint32_t load_dword(const std::byte* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

float half_at(const std::byte* p) {
  uint16_t bits;
  std::memcpy(&bits, p, sizeof bits);
  return half_to_float(bits);
}

// `from` is the lane's dword of the block's first vector, `step` the bytes of a vector.
void load_codes(const std::byte* from, int64_t step, int bits, std::array<uint8_t, 32>& codes) {
  std::array<uint32_t, 8> q{};
  uint32_t taken = 0;
  if (bits == 8) {
    for (size_t j = 0; j < 8; ++j, from += step) q[j] = load_dword(from);
  } else if (bits >= 4) {
    for (size_t p = 0; p < 4; ++p, from += step) {
      const uint32_t both = load_dword(from);
      q[p] = both & 0x0f0f0f0fU;
      q[p + 4] = (both >> 4) & 0x0f0f0f0fU;
    }
    taken = 4;
  }
  if (bits == 2 || bits == 3 || bits == 6) {
    for (size_t t = 0; t < 2; ++t, from += step) {
      const uint32_t all = load_dword(from);
      for (size_t i = 0; i < 4; ++i) q[4 * t + i] |= ((all >> (2 * i)) & 0x03030303U) << taken;
    }
    taken += 2;
  }
  if (bits == 3 || bits == 5) {
    const uint32_t all = load_dword(from);
    for (size_t j = 0; j < 8; ++j) q[j] |= ((all >> j) & 0x01010101U) << taken;
  }
  std::memcpy(codes.data(), q.data(), 32);
}

// What is done to a code: scale * (code - offset) + minimum.
struct Decoding {
  float scale = 1.0F;
  int offset = 0;
  float minimum = 0.0F;
};

// Of the group that `element` of the lane is in.
Decoding decoding_at(const PanelLayout& layout, const CodeFormat& format, const panel::Sections& at,
                     int64_t element, int64_t lane) {
  Decoding decoding;
  decoding.offset = format.offset;
  const int64_t group = element / format.group * layout.width + lane;
  if (format.row_scale) {
    std::memcpy(&decoding.scale, at.d + lane * 4, 4);
    return decoding;
  }
  const int64_t d_at = (element / panel::elements_per_d(format) * layout.width + lane) * 2;
  decoding.scale = half_at(at.d + d_at);
  if (format.zero_point) {
    decoding.offset = static_cast<uint8_t>(at.minimums[group]);
    return decoding;
  }
  if (format.minimum) decoding.minimum = half_at(at.m + d_at);
  if (!format.super_blocks) return decoding;

  const auto byte = static_cast<uint8_t>(at.scales[group]);
  if (layout.dtype == DType::kQ2_K) {
    decoding.scale *= static_cast<float>(byte & 15);
    decoding.minimum *= static_cast<float>(byte >> 4);
  } else if (format.minimum) {
    decoding.scale *= static_cast<float>(byte);
    decoding.minimum *= static_cast<float>(static_cast<uint8_t>(at.minimums[group]));
  } else {
    decoding.scale *= static_cast<float>(static_cast<int8_t>(byte));
  }
  decoding.minimum = -decoding.minimum;
  return decoding;
}

void unpack_codes(const PanelLayout& layout, const std::byte* panel, int64_t lane, float* out) {
  const CodeFormat format = code_format(layout.dtype);
  const int64_t vector_bytes = layout.width * 4;
  const int64_t block_bytes = panel::code_vectors(format.bits) * vector_bytes;
  const panel::Sections at = panel::sections(layout, const_cast<std::byte*>(panel));
  const bool adds = format.minimum && !format.zero_point;
  std::array<uint8_t, 32> codes;
  for (int64_t b = 0; b < layout.in / panel::kBlock; ++b) {
    load_codes(panel + b * block_bytes + lane * 4, vector_bytes, format.bits, codes);
    Decoding decoding;
    for (int64_t i = 0; i < panel::kBlock; ++i) {
      const int64_t element = b * panel::kBlock + i;
      if (i % 16 == 0) decoding = decoding_at(layout, format, at, element, lane);
      int code = codes[static_cast<size_t>(i)];
      if (format.bits == 8) {
        code = layout.unsigned8 ? code - 128 : static_cast<int8_t>(static_cast<uint8_t>(code));
      }
      const float value = decoding.scale * static_cast<float>(code - decoding.offset);
      out[element] = adds ? value + decoding.minimum : value;
    }
  }
}

void unpack_floats(const PanelLayout& layout, const std::byte* panel, int64_t lane, float* out) {
  const int64_t size = panel::element_bytes(layout.dtype);
  const std::byte* from = panel + panel::float_place(layout, lane) * size;
  for (int64_t k = 0; k < layout.in; ++k) {
    dequantize(layout.dtype, from + k * layout.width * size, 1, out + k);
    if (layout.dtype != DType::kF8E4M3) continue;
    float scale;
    std::memcpy(&scale, panel + layout.scale_offset + k / panel::kF8ScaleColumns * 4, 4);
    out[k] *= scale;
  }
}

}  // namespace

void unpack_row(const PanelLayout& layout, const std::byte* panel, int64_t lane, float* out) {
  if (has_codes(layout.dtype)) {
    unpack_codes(layout, panel, lane, out);
  } else {
    unpack_floats(layout, panel, lane, out);
  }
}

}  // namespace fathom
