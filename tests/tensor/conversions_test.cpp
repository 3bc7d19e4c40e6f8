// Conversions between float and the 16-bit types, over all their values. The expected values are
// the compiler's own or follow from the definition.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "tensor/dequantize.h"

namespace fathom {
namespace {

#if defined(__aarch64__)
using CompilersHalf = __fp16;  // GCC 12 has the other name in C alone there
#else
using CompilersHalf = _Float16;
#endif

TEST(HalfToFloat, GivesTheValueOfEveryHalf) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float expected =
        static_cast<float>(std::bit_cast<CompilersHalf>(static_cast<uint16_t>(bits)));
    const float got = half_to_float(static_cast<uint16_t>(bits));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(got)) << bits;
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(expected)) << bits;
    }
  }
}

TEST(FloatToHalf, RoundsToNearestEvenEverywhere) {
  // Every half, the midpoint to its neighbour, and the floats just beside that midpoint.
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const float low = half_to_float(static_cast<uint16_t>(bits));
    const float high = bits == 0x7bff ? 65536.0F : half_to_float(static_cast<uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;
    for (const float value : {low, middle, std::nextafter(middle, low),
                              std::nextafter(middle, high), std::nextafter(high, low)}) {
      for (const float signed_value : {value, -value}) {
        const auto expected = std::bit_cast<uint16_t>(static_cast<CompilersHalf>(signed_value));
        ASSERT_EQ(float_to_half(signed_value), expected) << signed_value;
      }
    }
  }
  EXPECT_EQ(float_to_half(1e10F), 0x7c00);
  EXPECT_EQ(float_to_half(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_TRUE(std::isnan(half_to_float(float_to_half(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(FloatToBfloat16, RoundsToNearestEven) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto stored = static_cast<uint16_t>(bits);
    const float value = bfloat16_to_float(stored);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(value))));
    } else {
      ASSERT_EQ(float_to_bfloat16(value), stored);
    }
  }
  const auto of = [](uint32_t bits) { return float_to_bfloat16(std::bit_cast<float>(bits)); };
  EXPECT_EQ(of(0x3f808000), 0x3f80) << "a tie goes to the even neighbour below";
  EXPECT_EQ(of(0x3f818000), 0x3f82) << "a tie goes to the even neighbour above";
  EXPECT_EQ(of(0x3f808001), 0x3f81);
  EXPECT_EQ(of(0x7f7fffff), 0x7f80) << "overflows to infinity";
}

}  // namespace
}  // namespace fathom
