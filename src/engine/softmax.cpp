#include "engine/softmax.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>

#include "base/assert.h"

namespace fathom {

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
// Values that a pass takes at once.
constexpr size_t kBlock = 64;

// e^x for -86 <= x <= 0 (Cephes' expf): 2^n times a polynomial of the rest.
float exp_of_negative(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it leaves a whole number in the bits
  const float shifted = x * 1.44269504F + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const auto exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound);
  return p * std::bit_cast<float>((exponent + 127) << 23);
}

bool any_above(const float* values, float threshold) {
  int any = 0;
  for (size_t j = 0; j < kBlock; ++j) any |= static_cast<int>(values[j] > threshold);
  return any != 0;
}

}  // namespace

bool has_nan(std::span<const float> values) {
  size_t i = 0;
  for (; i + kBlock <= values.size(); i += kBlock) {
    int nan = 0;
    for (size_t j = i; j < i + kBlock; ++j) nan |= static_cast<int>(values[j] != values[j]);
    if (nan != 0) return true;
  }
  return std::any_of(values.begin() + static_cast<std::ptrdiff_t>(i), values.end(),
                     [](float x) { return x != x; });
}

double exponentiate(std::span<const float> logits, float best, float scale,
                    std::span<float> weights) {
  FATHOM_ASSERT(weights.empty() || weights.size() == logits.size());
  double sum = 0;
  std::array<float, kBlock> block;
  for (size_t i = 0; i < logits.size(); i += kBlock) {
    const size_t count = std::min(kBlock, logits.size() - i);
    block.fill(kNever);
    std::copy_n(logits.data() + i, count, block.data());
    for (size_t j = 0; j < kBlock; ++j) {
      const float x = (block[j] - best) * scale;
      const float safe = x > -86.0F ? std::min(x, 0.0F) : -86.0F;
      block[j] = x > -86.0F ? exp_of_negative(safe) : 0.0F;
    }
    std::array<float, 8> lanes{};
    for (size_t j = 0; j < kBlock; j += 8) {
      for (size_t lane = 0; lane < 8; ++lane) lanes[lane] += block[j + lane];
    }
    for (const float lane : lanes) sum += static_cast<double>(lane);
    if (!weights.empty()) std::copy_n(block.data(), count, weights.data() + i);
  }
  return sum;
}

size_t find_above(std::span<const float> values, size_t from, float threshold) {
  size_t i = from;
  for (;;) {
    // To the end of the block this place is in, then whole blocks.
    for (; i < values.size() && i % kBlock != 0; ++i) {
      if (values[i] > threshold) return i;
    }
    while (i + kBlock <= values.size() && !any_above(values.data() + i, threshold)) i += kBlock;
    if (i >= values.size()) return values.size();
    if (values[i] > threshold) return i;
    ++i;
  }
}

}  // namespace fathom
