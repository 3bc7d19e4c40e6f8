// Encoding against gguf-py's quantiser, byte for byte (tests/golden/encoded), and the grids that
// quantisers choose from.
#include "tensor/encode.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "golden/golden_file.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

class Encode : public testing::TestWithParam<DType> {};

TEST_P(Encode, GivesTheBytesOfTheReferenceImplementation) {
  const auto path = std::filesystem::path(FATHOM_TEST_DATA) / "golden" / "encoded" /
                    (std::string(name(GetParam())) + ".encoded");
  std::ifstream in(path, std::ios::binary);
  const auto header = read_array<int32_t>(in, 2);
  const auto values = read_array<float>(in, static_cast<size_t>(header[0]));
  const auto want = read_array<char>(in, static_cast<size_t>(header[1]));
  ASSERT_TRUE(in.good()) << path;
  ASSERT_EQ(byte_size(GetParam(), header[0]), header[1]);
  std::vector<char> got(want.size(), 'x');
  encode(GetParam(), values.data(), header[0], reinterpret_cast<std::byte*>(got.data()));
  const auto block = static_cast<size_t>(info(GetParam()).block_bytes);
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i], want[i]) << "byte " << i % block << " of block " << i / block;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Encode,
                         testing::Values(DType::kQ4_0, DType::kQ4_1, DType::kQ8_0, DType::kF16,
                                         DType::kBF16),
                         [](const auto& test) { return std::string(name(test.param)); });

class Grid : public testing::TestWithParam<DType> {};

// What is written decodes to what snap() promised, and that is the nearest value of the grid.
TEST_P(Grid, WritesTheNearestValuesOfItsScale) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.01F, 0.05F);
  for (const bool positive : {false, true}) {
    const GroupCodec codec(GetParam(), positive);
    std::vector<float> values(static_cast<size_t>(codec.size()));
    for (float& value : values) value = normal(random);
    for (const float shrink : {1.0F, 0.7F}) {
      const GroupScale scale = codec.fit(values, shrink);
      std::vector<int8_t> codes;
      for (const float value : values) {
        codes.push_back(static_cast<int8_t>(codec.nearest(scale, value)));
      }
      std::vector<std::byte> block(static_cast<size_t>(codec.bytes()));
      codec.write(scale, codes, block.data());
      std::vector<float> decoded(values.size());
      dequantize(GetParam(), block.data(), codec.size(), decoded.data());
      std::vector<float> snapped(values.size());
      codec.snap(scale, values, snapped.data());
      const float step = std::fabs(scale.d);
      for (size_t i = 0; i < values.size(); ++i) {
        EXPECT_NEAR(decoded[i], snapped[i], 1e-3F * step);
        EXPECT_NEAR(decoded[i], scale.value(codes[i]), 1e-3F * step);
        if (shrink < 1.0F) continue;
        // At the edge a symmetric grid may miss the value on the side with fewer codes.
        EXPECT_LE(std::fabs(decoded[i] - values[i]), 1.01F * step) << i;
      }
    }
  }
}

TEST_P(Grid, HasAPlaceForGroupsOfZeros) {
  const GroupCodec codec(GetParam());
  const std::vector<float> zeros(static_cast<size_t>(codec.size()));
  std::vector<std::byte> block(static_cast<size_t>(codec.bytes()));
  encode_groups(codec, zeros, block.data());
  std::vector<float> decoded(zeros.size(), 1.0F);
  dequantize(GetParam(), block.data(), codec.size(), decoded.data());
  EXPECT_EQ(decoded, zeros);
}

TEST_P(Grid, HasPositiveScalesWhereTheyAreAskedFor) {
  const GroupCodec codec(GetParam(), true);
  std::vector<float> values(static_cast<size_t>(codec.size()), 0.1F);
  values[0] = 1.0F;  // Q4_0's own scale would be negative
  EXPECT_GT(codec.fit(values, 1.0F).d, 0.0F);
  values[0] = -1.0F;
  EXPECT_GT(codec.fit(values, 1.0F).d, 0.0F);
}

// Moving d and m to either side of what was found, or d alone where m is not tied to it by a whole
// number, must not lose less for the same codes.
TEST_P(Grid, RefitsTheScaleOfItsCodesByLeastSquares) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0.01F, 0.05F);
  const GroupCodec codec(GetParam());
  const auto size = static_cast<size_t>(codec.size());
  std::vector<float> values(size);
  std::vector<float> importance(size);
  for (size_t i = 0; i < size; ++i) {
    values[i] = normal(random);
    importance[i] = i % 5 == 0 ? 9.0F : 1.0F;
  }
  const GroupScale first = codec.fit(values, 0.8F);
  std::vector<int> codes;
  codes.reserve(size);
  for (const float value : values) codes.push_back(codec.nearest(first, value));
  const auto lost = [&](GroupScale scale) {
    double sum = 0;
    for (size_t i = 0; i < size; ++i) {
      const auto error = static_cast<double>(scale.value(codes[i]) - values[i]);
      sum += static_cast<double>(importance[i]) * error * error;
    }
    return sum;
  };
  const GroupScale found = codec.refit(first, values, importance.data());
  EXPECT_LT(lost(found), lost(first));
  for (const float factor : {0.99F, 1.01F}) {
    EXPECT_LT(lost(found), lost({found.d * factor, found.m * factor})) << factor;
    if (GetParam() != DType::kQ4_1 && GetParam() != DType::kQ5_1) continue;
    EXPECT_LT(lost(found), lost({found.d * factor, found.m})) << factor;
  }
}

TEST_P(Grid, LeavesAScaleThatNothingDetermines) {
  const GroupCodec codec(GetParam());
  const std::vector<float> zeros(static_cast<size_t>(codec.size()));
  const GroupScale scale = codec.fit(zeros, 1.0F);
  const GroupScale found = codec.refit(scale, zeros, zeros.data());
  EXPECT_EQ(found.d, scale.d);
  EXPECT_EQ(found.m, scale.m);
}

INSTANTIATE_TEST_SUITE_P(Types, Grid,
                         testing::Values(DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                                         DType::kQ8_0, DType::kI4_64, DType::kI4_128,
                                         DType::kI4Z_32, DType::kI4Z_64, DType::kI4Z_128,
                                         DType::kI8_128),
                         [](const auto& test) { return std::string(name(test.param)); });

}  // namespace
}  // namespace fathom
