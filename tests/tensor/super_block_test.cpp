// Encoding to K types: what is written decodes to what was chosen (dequantize_test compares
// decoding with gguf-py), and loses no more than ggml's own quantiser does
// (golden/make_k_golden.py).
#include "tensor/super_block.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "golden/golden_file.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

constexpr std::array kTypes{DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};
constexpr auto kSize = static_cast<size_t>(SuperBlockCodec::kSize);

class SuperBlock : public testing::TestWithParam<DType> {
 protected:
  std::vector<float> decoded(const std::vector<std::byte>& blocks, size_t values) const {
    std::vector<float> result(values);
    dequantize(GetParam(), blocks.data(), static_cast<int64_t>(values), result.data());
    return result;
  }
  std::vector<float> coded(std::span<const float> values, const float* importance = nullptr) const {
    std::vector<std::byte> blocks(static_cast<size_t>(byte_size(GetParam(), std::ssize(values))));
    for (size_t at = 0; at < values.size(); at += kSize) {
      codec_.encode(values.subspan(at, kSize), importance == nullptr ? nullptr : importance + at,
                    blocks.data() + at / kSize * static_cast<size_t>(codec_.bytes()));
    }
    return decoded(blocks, values.size());
  }
  static std::vector<float> normal_values(float size) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal(0.1F * size, size);
    std::vector<float> values(kSize);
    for (float& value : values) value = normal(random);
    return values;
  }

  SuperBlockCodec codec_{GetParam()};
};

TEST_P(SuperBlock, LosesNoMoreThanGgml) {
  std::ifstream in(std::filesystem::path(FATHOM_TEST_DATA) / "golden" / "encoded" / "K.losses",
                   std::ios::binary);
  const auto count = static_cast<size_t>(read_array<int32_t>(in, 1)[0]);
  const auto values = read_array<float>(in, count);
  const auto importance = read_array<float>(in, count);
  const auto losses = read_array<double>(in, 2 * kTypes.size());
  ASSERT_TRUE(in.good());
  const auto type = static_cast<size_t>(std::ranges::find(kTypes, GetParam()) - kTypes.begin());
  const auto loss = [&](const std::vector<float>& result, bool weighted) {
    double sum = 0;
    for (size_t i = 0; i < count; ++i) {
      const double error = static_cast<double>(result[i]) - static_cast<double>(values[i]);
      sum += (weighted ? static_cast<double>(importance[i]) : 1.0) * error * error;
    }
    return sum / static_cast<double>(count);
  };
  EXPECT_LE(loss(coded(values), false), losses[2 * type]);
  EXPECT_LE(loss(coded(values, importance.data()), true), losses[2 * type + 1]);
}

TEST_P(SuperBlock, WritesWhatItsScalesAndCodesStandFor) {
  const std::vector<float> values = normal_values(0.05F);
  const auto scales = codec_.choose(values, nullptr);
  std::vector<int8_t> codes(kSize);
  std::vector<float> expected(kSize);
  for (size_t i = 0; i < kSize; ++i) {
    const GroupScale scale = scales.of(i / static_cast<size_t>(codec_.group()));
    codes[i] = static_cast<int8_t>(codec_.nearest(scale, values[i]));
    expected[i] = scale.value(codes[i]);
  }
  std::vector<std::byte> block(static_cast<size_t>(codec_.bytes()));
  codec_.write(scales, codes, block.data());
  const auto result = decoded(block, kSize);
  for (size_t i = 0; i < kSize; ++i) EXPECT_NEAR(result[i], expected[i], 1e-7F) << i;
}

TEST_P(SuperBlock, KeepsZerosAndSizesThatHalvesHardlyHold) {
  const std::vector<float> zeros(kSize);
  EXPECT_EQ(coded(zeros), zeros);
  for (const float size : {1e-8F, 1e-4F, 1e3F, 1e6F}) {
    const std::vector<float> values = normal_values(size);
    const auto result = coded(values);
    double error = 0;
    double energy = 0;
    for (size_t i = 0; i < kSize; ++i) {
      ASSERT_TRUE(std::isfinite(result[i])) << size;
      error += std::pow(static_cast<double>(result[i] - values[i]), 2);
      energy += std::pow(static_cast<double>(values[i]), 2);
    }
    EXPECT_LE(error, (size < 1e-6F ? 1.0 : 0.15) * energy) << size;
  }
}

TEST_P(SuperBlock, SpendsItsCodesOnWhatMatters) {
  const std::vector<float> values = normal_values(0.05F);
  std::vector<float> importance(kSize, 0.01F);
  for (size_t i = 0; i < kSize; i += 4) importance[i] = 1;
  const auto error = [&](const std::vector<float>& result) {
    double sum = 0;
    for (size_t i = 0; i < kSize; i += 4) {
      sum += std::pow(static_cast<double>(result[i] - values[i]), 2);
    }
    return sum;
  };
  EXPECT_LT(error(coded(values, importance.data())), 0.95 * error(coded(values)));
  const std::vector<float> nothing(kSize, 0.0F);  // says nothing: as if all mattered alike
  EXPECT_EQ(coded(values, nothing.data()), coded(values));
}

TEST_P(SuperBlock, ApproximatesWhatRoundingCosts) {
  const std::vector<float> values = normal_values(0.05F);
  std::vector<float> rough(kSize);
  codec_.approximate(values, rough.data());
  const auto error = [&](const std::vector<float>& result) {
    double sum = 0;
    for (size_t i = 0; i < kSize; ++i) {
      sum += std::pow(static_cast<double>(result[i] - values[i]), 2);
    }
    return sum;
  };
  const double exact = error(coded(values));
  EXPECT_GT(error(rough), 0.8 * exact);
  EXPECT_LT(error(rough), 3 * exact);
}

INSTANTIATE_TEST_SUITE_P(Types, SuperBlock, testing::ValuesIn(kTypes),
                         [](const auto& test) { return std::string(name(test.param)); });

}  // namespace
}  // namespace fathom
