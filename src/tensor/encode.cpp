#include "tensor/encode.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/assert.h"
#include "tensor/blocks.h"
#include "tensor/dequantize.h"
#include "tensor/super_block.h"

namespace fathom {

namespace {

constexpr int64_t kMostGroup = 128;

blocks::Half half(float value) {
  const uint16_t bits = float_to_half(value);
  return {static_cast<uint8_t>(bits & 0xff), static_cast<uint8_t>(bits >> 8)};
}

float through_half(float value) {
  return half_to_float(float_to_half(value));
}

void put(blocks::Half half, std::byte*& out) {
  std::memcpy(out, half.data(), half.size());
  out += half.size();
}

uint8_t nibbles(int low, int high) {
  return static_cast<uint8_t>(low | (high << 4));
}

// To the nearest whole number in [low, high], ties to even. Numbers of 2^23 and more have no
// fraction, so the sum rounds; unlike a call of nearbyint() that takes a vector at a time.
float rounded(float x, float low, float high) {
  constexpr float kNoFraction = 12582912.0F;  // 1.5 * 2^23
  const float within = std::min(std::max(x, low), high);
  return (within + kNoFraction) - kNoFraction;
}

// gguf-py rounds by adding a half and cutting off, in double for Q4_0 and in float for Q4_1.
void encode(const float* x, blocks::Q4_0& block) {
  float extreme = 0;  // the value of largest magnitude, with its sign; the first of equals
  for (size_t i = 0; i < 32; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  const float d = extreme / -8.0F;
  const double inverse = d == 0.0F ? 0.0 : static_cast<double>(1.0F / d);
  const auto code = [&](float value) {
    const double shifted = std::trunc(static_cast<double>(value) * inverse + 8.5);
    return std::clamp(static_cast<int>(shifted), 0, 15);
  };
  block.d = half(d);
  for (size_t i = 0; i < 16; ++i) block.qs[i] = nibbles(code(x[i]), code(x[i + 16]));
}

void encode(const float* x, blocks::Q4_1& block) {
  const auto [least, most] = std::minmax_element(x, x + 32);
  const float d = (*most - *least) / 15.0F;
  const float inverse = d == 0.0F ? 0.0F : 1.0F / d;
  const auto code = [&](float value) {
    const float shifted = std::trunc((value - *least) * inverse + 0.5F);
    return std::clamp(static_cast<int>(shifted), 0, 15);
  };
  block.d = half(d);
  block.m = half(*least);
  for (size_t i = 0; i < 16; ++i) block.qs[i] = nibbles(code(x[i]), code(x[i + 16]));
}

void encode(const float* x, blocks::Q8_0& block) {
  float most = 0;
  for (size_t i = 0; i < 32; ++i) most = std::max(most, std::fabs(x[i]));
  const float d = most / 127.0F;
  const float inverse = d == 0.0F ? 0.0F : 1.0F / d;
  block.d = half(d);
  for (size_t i = 0; i < 32; ++i) {
    block.qs[i] = static_cast<int8_t>(std::clamp(std::round(x[i] * inverse), -127.0F, 127.0F));
  }
}

template <typename Block>
void encode_blocks(const float* values, int64_t elements, std::byte* out) {
  for (int64_t i = 0; i < elements; i += 32, out += sizeof(Block)) {
    Block block;
    encode(values + i, block);
    std::memcpy(out, &block, sizeof block);
  }
}

template <typename Convert>
void encode_halves(const float* values, int64_t elements, std::byte* out, Convert convert) {
  for (int64_t i = 0; i < elements; ++i) {
    const uint16_t bits = convert(values[i]);
    std::memcpy(out + 2 * i, &bits, sizeof bits);
  }
}

}  // namespace

bool can_encode(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         GroupCodec::exists(dtype) || SuperBlockCodec::exists(dtype);
}

void encode(DType dtype, const float* values, int64_t elements, std::byte* out) {
  FATHOM_ASSERT(can_encode(dtype) && elements % info(dtype).block_elements == 0);
  const std::span all(values, static_cast<size_t>(elements));
  if (SuperBlockCodec::exists(dtype)) return encode_super_blocks(SuperBlockCodec(dtype), all, out);
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, values, static_cast<size_t>(elements) * sizeof(float));
      return;
    case DType::kF16:
      return encode_halves(values, elements, out, float_to_half);
    case DType::kBF16:
      return encode_halves(values, elements, out, float_to_bfloat16);
    case DType::kQ4_0:
      return encode_blocks<blocks::Q4_0>(values, elements, out);
    case DType::kQ4_1:
      return encode_blocks<blocks::Q4_1>(values, elements, out);
    case DType::kQ8_0:
      return encode_blocks<blocks::Q8_0>(values, elements, out);
    default:
      return encode_groups(GroupCodec(dtype), all, out);
  }
}

bool GroupCodec::exists(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ8_0:
    case DType::kI4_64:
    case DType::kI4_128:
    case DType::kI4Z_32:
    case DType::kI4Z_64:
    case DType::kI4Z_128:
    case DType::kI8_128:
      return true;
    default:
      return false;
  }
}

GroupCodec::GroupCodec(DType dtype, bool positive)
    : dtype_(dtype),
      size_(info(dtype).block_elements),
      bytes_(info(dtype).block_bytes),
      low_(-8),
      high_(7),
      positive_(positive) {
  FATHOM_ASSERT(exists(dtype));
  if (dtype == DType::kQ8_0 || dtype == DType::kI8_128) {
    low_ = -127;
    high_ = 127;
  } else if (dtype == DType::kQ5_0) {
    low_ = -16;
    high_ = 15;
  } else if (dtype == DType::kQ5_1) {
    low_ = 0;
    high_ = 31;
    offset_ = Offset::kMinimum;
  } else if (dtype == DType::kQ4_1 || dtype == DType::kI4Z_32 || dtype == DType::kI4Z_64 ||
             dtype == DType::kI4Z_128) {
    low_ = 0;
    high_ = 15;
    offset_ = dtype == DType::kQ4_1 ? Offset::kMinimum : Offset::kZeroPoint;
  }
}

GroupScale GroupCodec::fit(std::span<const float> values, float shrink) const {
  auto [least, most] = std::ranges::minmax(values);
  least *= shrink;
  most *= shrink;
  const auto high = static_cast<float>(high_);
  switch (offset_) {
    case Offset::kNone: {
      if (high_ == 127) return {through_half(std::max(-least, most) / 127.0F), 0.0F};
      if (positive_) return {through_half(std::max(-least, most) / (high + 0.5F)), 0.0F};
      // The side with one code more takes the extreme value, whatever its sign.
      return {through_half((-least > most ? least : most) / static_cast<float>(low_)), 0.0F};
    }
    case Offset::kMinimum:
      return {through_half((most - least) / high), through_half(least)};
    case Offset::kZeroPoint: {
      // Zero stays a value of the grid, as the formats with integer zero points want it.
      least = std::min(least, 0.0F);
      most = std::max(most, 0.0F);
      const float d = through_half((most - least) / 15.0F);
      if (d == 0.0F) return {};
      const float zero = std::clamp(std::round(-least / d), 0.0F, 15.0F);
      return {d, -d * zero};
    }
  }
  return {};
}

GroupScale GroupCodec::refit(GroupScale scale, std::span<const float> values,
                             const float* importance) const {
  if (scale.d == 0.0F) return scale;
  const float inverse = 1.0F / scale.d;
  const auto low = static_cast<float>(low_);
  const auto high = static_cast<float>(high_);
  const float zero = offset_ == Offset::kZeroPoint ? std::round(-scale.m * inverse) : 0.0F;
  // Weighted sums of codes q and values v.
  double ones = 0;
  double q_sum = 0;
  double v_sum = 0;
  double qq = 0;
  double qv = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto weight = static_cast<double>(importance[i]);
    const auto q = static_cast<double>(rounded((values[i] - scale.m) * inverse, low, high) - zero);
    const auto v = static_cast<double>(values[i]);
    ones += weight;
    q_sum += weight * q;
    v_sum += weight * v;
    qq += weight * q * q;
    qv += weight * q * v;
  }
  double d = 0;
  double m = 0;
  if (offset_ == Offset::kMinimum) {
    const double determinant = qq * ones - q_sum * q_sum;
    if (!(determinant > 1e-6 * qq * ones)) return scale;
    d = (qv * ones - q_sum * v_sum) / determinant;
    m = (v_sum * qq - q_sum * qv) / determinant;
  } else {
    if (!(qq > 0)) return scale;
    d = qv / qq;
  }
  const bool sign_kept = (d > 0) == (scale.d > 0);
  const float stored = through_half(static_cast<float>(d));
  if (!sign_kept || stored == 0.0F || !std::isfinite(stored)) return scale;
  if (offset_ == Offset::kMinimum) return {stored, through_half(static_cast<float>(m))};
  return {stored, zero == 0.0F ? 0.0F : -stored * zero};
}

int GroupCodec::nearest(GroupScale scale, float value) const {
  const float inverse = scale.d == 0.0F ? 0.0F : 1.0F / scale.d;
  return static_cast<int>(
      rounded((value - scale.m) * inverse, static_cast<float>(low_), static_cast<float>(high_)));
}

void GroupCodec::snap(GroupScale scale, std::span<const float> values, float* out) const {
  const float inverse = scale.d == 0.0F ? 0.0F : 1.0F / scale.d;
  const auto low = static_cast<float>(low_);
  const auto high = static_cast<float>(high_);
  for (size_t i = 0; i < values.size(); ++i) {
    out[i] = rounded((values[i] - scale.m) * inverse, low, high) * scale.d + scale.m;
  }
}

void GroupCodec::write(GroupScale scale, std::span<const int8_t> codes, std::byte* out) const {
  if (offset_ != Offset::kMinimum) {
    const bool has_zero = offset_ == Offset::kZeroPoint && scale.d != 0.0F;
    return write(scale.d, has_zero ? static_cast<int>(std::lround(-scale.m / scale.d)) : 0, codes,
                 out);
  }
  put(half(scale.d), out);
  put(half(scale.m), out);
  write_codes(codes, out);
}

void GroupCodec::write(float d, int zero, std::span<const int8_t> codes, std::byte* out) const {
  put(half(d), out);
  if (offset_ == Offset::kZeroPoint) *out++ = static_cast<std::byte>(zero);
  write_codes(codes, out);
}

void GroupCodec::write_fifth_bits(std::span<const int8_t> codes, std::byte* out) const {
  uint32_t bits = 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    bits |= static_cast<uint32_t>(((codes[i] - low_) >> 4) & 1) << i;
  }
  for (size_t i = 0; i < sizeof bits; ++i) out[i] = static_cast<std::byte>((bits >> (8 * i)) & 255);
}

void GroupCodec::write_codes(std::span<const int8_t> codes, std::byte* out) const {
  if (high_ == 127) {
    std::memcpy(out, codes.data(), codes.size());
    return;
  }
  const bool five = dtype_ == DType::kQ5_0 || dtype_ == DType::kQ5_1;
  if (five) {
    write_fifth_bits(codes, out);
    out += sizeof(uint32_t);
  }
  // GGUF's blocks pair an element with the one 16 further on, ours with its neighbour.
  const bool gguf = five || dtype_ == DType::kQ4_0 || dtype_ == DType::kQ4_1;
  for (size_t i = 0; i < codes.size() / 2; ++i) {
    const size_t first = gguf ? i : 2 * i;
    const size_t second = gguf ? i + 16 : 2 * i + 1;
    out[i] =
        static_cast<std::byte>(nibbles((codes[first] - low_) & 15, (codes[second] - low_) & 15));
  }
}

void encode_groups(const GroupCodec& codec, std::span<const float> values, std::byte* out) {
  const auto size = static_cast<size_t>(codec.size());
  std::array<int8_t, kMostGroup> codes{};
  for (size_t i = 0; i < values.size(); i += size, out += codec.bytes()) {
    const std::span group = values.subspan(i, size);
    const GroupScale scale = codec.fit(group, 1.0F);
    for (size_t j = 0; j < size; ++j) {
      codes[j] = static_cast<int8_t>(codec.nearest(scale, group[j]));
    }
    codec.write(scale, std::span(codes).first(size), out);
  }
}

}  // namespace fathom
