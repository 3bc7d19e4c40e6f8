// Decoding of stored elements against gguf-py (block types) and PyTorch (plain types): the files in
// tests/golden/blocks hold random blocks, blocks of extreme bits, and negative, subnormal and zero
// scales.
#include "tensor/dequantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "golden/golden_file.h"

namespace fathom {
namespace {

struct Blocks {
  int32_t count = 0;
  int32_t elements = 0;  // of a block
  int32_t bytes = 0;     // of a block
  std::vector<char> raw;
  std::vector<float> values;
};

Blocks read_blocks(DType dtype) {
  const auto path = std::filesystem::path(FATHOM_TEST_DATA) / "golden" / "blocks" /
                    (std::string(name(dtype)) + ".blocks");
  std::ifstream in(path, std::ios::binary);
  const auto header = read_array<int32_t>(in, 3);
  Blocks b{.count = header[0], .elements = header[1], .bytes = header[2], .raw = {}, .values = {}};
  b.raw = read_array<char>(in, static_cast<size_t>(b.count) * static_cast<size_t>(b.bytes));
  b.values = read_array<float>(in, static_cast<size_t>(b.count) * static_cast<size_t>(b.elements));
  EXPECT_TRUE(in.good() && b.count > 0) << "cannot read " << path;
  return b;
}

class Dequantize : public testing::TestWithParam<DType> {};

TEST_P(Dequantize, GivesTheValuesOfTheReferenceImplementation) {
  const Blocks blocks = read_blocks(GetParam());
  ASSERT_EQ(info(GetParam()).block_elements, blocks.elements);
  ASSERT_EQ(info(GetParam()).block_bytes, blocks.bytes);
  std::vector<float> got(blocks.values.size(), 12345.0F);
  dequantize(GetParam(), reinterpret_cast<const std::byte*>(blocks.raw.data()),
             static_cast<int64_t>(got.size()), got.data());
  for (size_t i = 0; i < got.size(); ++i) {
    const float want = blocks.values[i];
    if (std::isnan(want) && std::isnan(got[i])) continue;
    if (want == got[i]) continue;  // also infinities
    // One rounding of a product more or less.
    ASSERT_NEAR(got[i], want, 2e-7 * std::abs(want)) << "element " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Dequantize,
                         testing::Values(DType::kF16, DType::kBF16, DType::kF8E4M3, DType::kQ8_0,
                                         DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                         DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K,
                                         DType::kQ6_K),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST(Dequantize, AppliesTheScaleOfEveryBlockOf128By128) {
  constexpr int64_t kRows = 130;
  constexpr int64_t kCols = 300;
  std::vector<uint8_t> stored(kRows * kCols, 0x38);  // 1.0
  const std::vector<float> scales = {1, 2, 3, 4, 5, 6};
  Tensor matrix{.name = "w",
                .dtype = DType::kF8E4M3,
                .shape = {kRows, kCols},
                .data = reinterpret_cast<const std::byte*>(stored.data()),
                .bytes = kRows * kCols,
                .block_scales = scales.data()};
  std::vector<float> got(3 * kCols);
  dequantize_rows(matrix, 127, 3, got.data());
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t c = 0; c < kCols; ++c) {
      const auto want = static_cast<float>((127 + r) / 128 * 3 + c / 128 + 1);
      ASSERT_EQ(got[static_cast<size_t>(r * kCols + c)], want) << r << ", " << c;
    }
  }
}

// The definition by hand: the value of each code is written out below.
TEST(Dequantize, ReadsInt4GroupsWithAndWithoutZeroPoints) {
  std::vector<uint8_t> symmetric(34, 0x88);
  symmetric[0] = 0x00;
  symmetric[1] = 0x38;  // 0.5
  symmetric[2] = 0xf0;
  symmetric[33] = 0x19;
  std::vector<float> got(64);
  dequantize(DType::kI4_64, reinterpret_cast<const std::byte*>(symmetric.data()), 64, got.data());
  EXPECT_EQ(got[0], -4.0F);
  EXPECT_EQ(got[1], 3.5F);
  EXPECT_EQ(got[2], 0.0F);
  EXPECT_EQ(got[62], 0.5F);
  EXPECT_EQ(got[63], -3.5F);

  std::vector<uint8_t> zero_point(67, 0x33);
  zero_point[0] = 0x00;
  zero_point[1] = 0xc0;  // -2
  zero_point[2] = 3;
  zero_point[66] = 0xf1;
  got.resize(128);
  dequantize(DType::kI4Z_128, reinterpret_cast<const std::byte*>(zero_point.data()), 128,
             got.data());
  EXPECT_EQ(got[0], 0.0F);
  EXPECT_EQ(got[126], 4.0F);
  EXPECT_EQ(got[127], -24.0F);
}

TEST(Dequantize, AppliesTheScaleOfEachRowOfInt8) {
  std::vector<int8_t> stored(3 * 64, 100);
  stored[64] = -128;
  const std::vector<float> scales = {1.0F, 0.25F, 2.0F};
  const Tensor matrix{.name = "w",
                      .dtype = DType::kI8Row,
                      .shape = {3, 64},
                      .data = reinterpret_cast<const std::byte*>(stored.data()),
                      .bytes = 3 * 64,
                      .block_scales = scales.data()};
  std::vector<float> got(2 * 64);
  dequantize_rows(matrix, 1, 2, got.data());
  EXPECT_EQ(got[0], -32.0F);
  EXPECT_EQ(got[1], 25.0F);
  EXPECT_EQ(got[64], 200.0F);
}

TEST(Half, RoundTripsEveryValueThatAnF16CanHold) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = half_to_float(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    ASSERT_EQ(float_to_half(value), bits) << value;
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(float_to_half(1.0F + 1.0F / 2048), 0x3c00);  // half way, down to even
  EXPECT_EQ(float_to_half(1.0F + 3.0F / 2048), 0x3c02);  // half way, up to even
  EXPECT_EQ(float_to_half(1.0F + 1.1F / 2048), 0x3c01);
  EXPECT_EQ(float_to_half(65519.0F), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0F), 0x7c00);  // infinity
  EXPECT_EQ(float_to_half(-1e-9F), 0x8000);
  EXPECT_EQ(float_to_half(5.9604645e-8F), 0x0001);  // smallest subnormal
}

TEST(Bfloat16, RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(float_to_bfloat16(1.0F), 0x3f80);
  EXPECT_EQ(float_to_bfloat16(1.0F + 1.0F / 256), 0x3f80);
  EXPECT_EQ(float_to_bfloat16(1.0F + 3.0F / 256), 0x3f82);
  EXPECT_EQ(float_to_bfloat16(3.4e38F), 0x7f80);
}

}  // namespace
}  // namespace fathom
