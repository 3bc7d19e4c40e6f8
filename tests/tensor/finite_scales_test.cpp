#include "tensor/finite_scales.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tensor/dequantize.h"

namespace fathom {
namespace {

constexpr uint16_t kHalfNan = 0x7e01;
constexpr uint16_t kHalfInfinity = 0xfc00;

// Two rows of two blocks, all zero.
struct Matrix {
  explicit Matrix(DType dtype) {
    const int64_t cols = 2 * info(dtype).block_elements;
    bytes.resize(static_cast<size_t>(byte_size(dtype, 2 * cols)));
    tensor = Tensor{"w", dtype, Shape{2, cols}, bytes.data(), static_cast<int64_t>(bytes.size())};
  }
  std::vector<std::byte> bytes;
  Tensor tensor;
};

TEST(FiniteScales, AreFoundWhereverABlockKeepsThem) {
  struct Case {
    DType dtype;
    std::vector<size_t> offsets;
  };
  const std::vector<Case> cases{
      {DType::kQ4_0, {0}},    {DType::kQ4_1, {0, 2}}, {DType::kQ5_0, {0}},
      {DType::kQ5_1, {0, 2}}, {DType::kQ8_0, {0}},    {DType::kQ2_K, {80, 82}},
      {DType::kQ3_K, {108}},  {DType::kQ4_K, {0, 2}}, {DType::kQ5_K, {0, 2}},
      {DType::kQ6_K, {208}},  {DType::kF16, {0}},     {DType::kI4_64, {0}},
      {DType::kI4Z_32, {0}},  {DType::kI8_128, {0}},
  };
  for (const Case& c : cases) {
    for (const size_t offset : c.offsets) {
      for (const uint16_t bad : {kHalfNan, kHalfInfinity}) {
        Matrix matrix(c.dtype);
        EXPECT_TRUE(check_finite_scales(matrix.tensor).has_value()) << name(c.dtype);
        const size_t last_block = matrix.bytes.size() - info(c.dtype).block_bytes;
        std::memcpy(matrix.bytes.data() + last_block + offset, &bad, sizeof bad);
        const Status status = check_finite_scales(matrix.tensor);
        ASSERT_FALSE(status.has_value()) << name(c.dtype) << " at " << offset;
        EXPECT_NE(status.error().message.find("tensor w"), std::string::npos);
        EXPECT_NE(status.error().message.find("row 1"), std::string::npos);
        EXPECT_TRUE(check_finite_scales(matrix.tensor, 0, 1).has_value());
        // And decoding agrees that this is where the scale lies.
        std::vector<float> row(static_cast<size_t>(matrix.tensor.shape[1]));
        dequantize_rows(matrix.tensor, 1, 1, row.data());
        bool finite = true;
        for (const float value : row) finite = finite && std::isfinite(value);
        EXPECT_FALSE(finite) << name(c.dtype) << " at " << offset;
      }
    }
  }
}

TEST(FiniteScales, CoverPlainTypes) {
  Matrix f32(DType::kF32);
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(f32.bytes.data() + 4, &infinity, sizeof infinity);
  EXPECT_FALSE(check_finite_scales(f32.tensor).has_value());
  Matrix bf16(DType::kBF16);
  const uint16_t nan = 0x7fc0;
  std::memcpy(bf16.bytes.data(), &nan, sizeof nan);
  EXPECT_FALSE(check_finite_scales(bf16.tensor).has_value());
  Matrix f8(DType::kF8E4M3);
  f8.bytes[3] = std::byte{0xff};
  EXPECT_FALSE(check_finite_scales(f8.tensor).has_value());
}

TEST(FiniteScales, CoverTheScalesOfFp8Blocks) {
  std::vector<std::byte> bytes(static_cast<size_t>(130 * 129));
  std::vector<float> scales(4, 1.0F);
  Tensor tensor{"w", DType::kF8E4M3, Shape{130, 129}, bytes.data(), 130 * 129, scales.data()};
  EXPECT_TRUE(check_finite_scales(tensor).has_value());
  scales[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(check_finite_scales(tensor).has_value());
  EXPECT_TRUE(check_finite_scales(tensor, 0, 128).has_value());
  EXPECT_FALSE(check_finite_scales(tensor, 128, 2).has_value());
}

TEST(FiniteScales, IgnoreTensorsThatAreNoWeights) {
  const std::vector<std::byte> bytes(8, std::byte{0xff});
  EXPECT_TRUE(
      check_finite_scales(Tensor{"ids", DType::kI64, Shape{1}, bytes.data(), 8}).has_value());
}

}  // namespace
}  // namespace fathom
