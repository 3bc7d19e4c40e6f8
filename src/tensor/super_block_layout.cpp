// How scales and codes become the bytes of a K type's block (ggml-common.h is the specification).
#include <array>
#include <cstring>

#include "base/assert.h"
#include "tensor/blocks.h"
#include "tensor/dequantize.h"
#include "tensor/super_block.h"

namespace fathom {

namespace {

blocks::Half half(float value) {
  const uint16_t bits = float_to_half(value);
  return {static_cast<uint8_t>(bits & 0xff), static_cast<uint8_t>(bits >> 8)};
}

// Bits [at, at + count) of an unsigned code.
uint8_t bits(int code, int at, int count) {
  return static_cast<uint8_t>((code >> at) & ((1 << count) - 1));
}

// The 12 bytes that hold eight scales and eight minima of 6 bits (unpack_k4 reads them).
void pack_k4(const SuperBlockCodec::Scales& scales, std::array<uint8_t, 12>& out) {
  for (size_t j = 0; j < 4; ++j) {
    const size_t k = j + 4;
    out[j] = static_cast<uint8_t>(scales.scale[j] | (bits(scales.scale[k], 4, 2) << 6));
    out[j + 4] = static_cast<uint8_t>(scales.min[j] | (bits(scales.min[k], 4, 2) << 6));
    out[j + 8] =
        static_cast<uint8_t>(bits(scales.scale[k], 0, 4) | (bits(scales.min[k], 0, 4) << 4));
  }
}

// Two bits of each code, as Q2_K and Q3_K share bytes: byte l of a half holds elements l, l + 32,
// ...
void pack_pairs(std::span<const int8_t> codes, int low, std::array<uint8_t, 64>& out) {
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t first = i / 32 * 128 + i % 32;
    int byte = 0;
    for (size_t k = 0; k < 4; ++k) byte |= bits(codes[first + 32 * k] - low, 0, 2) << (2 * k);
    out[i] = static_cast<uint8_t>(byte);
  }
}

// Four bits of each code, two groups of 32 to the nibbles of 32 bytes.
void pack_nibbles(std::span<const int8_t> codes, std::array<uint8_t, 128>& out) {
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t first = i / 32 * 64 + i % 32;
    out[i] = static_cast<uint8_t>(bits(codes[first], 0, 4) | (bits(codes[first + 32], 0, 4) << 4));
  }
}

using Scales = SuperBlockCodec::Scales;

void pack(const Scales& scales, std::span<const int8_t> codes, blocks::Q2_K& block) {
  block.d = half(scales.d);
  block.dmin = half(scales.dmin);
  for (size_t j = 0; j < 16; ++j) {
    block.scales[j] = static_cast<uint8_t>(scales.scale[j] | (scales.min[j] << 4));
  }
  pack_pairs(codes, 0, block.qs);
}

void pack(const Scales& scales, std::span<const int8_t> codes, blocks::Q3_K& block) {
  block.d = half(scales.d);
  block.scales = {};
  for (size_t j = 0; j < 16; ++j) {
    const int stored = scales.scale[j] + 32;
    block.scales[j % 8] =
        static_cast<uint8_t>(block.scales[j % 8] | (bits(stored, 0, 4) << (j < 8 ? 0 : 4)));
    block.scales[8 + j % 4] =
        static_cast<uint8_t>(block.scales[8 + j % 4] | (bits(stored, 4, 2) << (2 * (j / 4))));
  }
  pack_pairs(codes, -4, block.qs);
  block.hmask = {};
  for (size_t i = 0; i < codes.size(); ++i) {
    const int third = bits(codes[i] + 4, 2, 1) << (i / 32);
    block.hmask[i % 32] = static_cast<uint8_t>(block.hmask[i % 32] | third);
  }
}

void pack(const Scales& scales, std::span<const int8_t> codes, blocks::Q4_K& block) {
  block.d = half(scales.d);
  block.dmin = half(scales.dmin);
  pack_k4(scales, block.scales);
  pack_nibbles(codes, block.qs);
}

void pack(const Scales& scales, std::span<const int8_t> codes, blocks::Q5_K& block) {
  block.d = half(scales.d);
  block.dmin = half(scales.dmin);
  pack_k4(scales, block.scales);
  pack_nibbles(codes, block.qs);
  block.qh = {};
  for (size_t i = 0; i < codes.size(); ++i) {
    const int fifth = bits(codes[i], 4, 1) << (i / 32);
    block.qh[i % 32] = static_cast<uint8_t>(block.qh[i % 32] | fifth);
  }
}

void pack(const Scales& scales, std::span<const int8_t> codes, blocks::Q6_K& block) {
  block.d = half(scales.d);
  for (size_t j = 0; j < 16; ++j) block.scales[j] = static_cast<int8_t>(scales.scale[j]);
  const auto code = [&](size_t i) { return codes[i] + 32; };
  for (size_t i = 0; i < 128; ++i) {  // byte i % 64 of half i / 64: elements 64 apart
    const size_t first = i / 64 * 128 + i % 64;
    block.ql[i] =
        static_cast<uint8_t>(bits(code(first), 0, 4) | (bits(code(first + 64), 0, 4) << 4));
  }
  for (size_t i = 0; i < 64; ++i) {
    const size_t first = i / 32 * 128 + i % 32;
    int byte = 0;
    for (size_t k = 0; k < 4; ++k) byte |= bits(code(first + 32 * k), 4, 2) << (2 * k);
    block.qh[i] = static_cast<uint8_t>(byte);
  }
}

template <typename Block>
void put(const Scales& scales, std::span<const int8_t> codes, std::byte* out) {
  Block block{};
  pack(scales, codes, block);
  std::memcpy(out, &block, sizeof block);
}

}  // namespace

void SuperBlockCodec::write(const Scales& scales, std::span<const int8_t> codes,
                            std::byte* out) const {
  FATHOM_ASSERT(std::ssize(codes) == kSize);
  switch (dtype_) {
    case DType::kQ2_K:
      return put<blocks::Q2_K>(scales, codes, out);
    case DType::kQ3_K:
      return put<blocks::Q3_K>(scales, codes, out);
    case DType::kQ4_K:
      return put<blocks::Q4_K>(scales, codes, out);
    case DType::kQ5_K:
      return put<blocks::Q5_K>(scales, codes, out);
    default:
      return put<blocks::Q6_K>(scales, codes, out);
  }
}

}  // namespace fathom
