// AWQ and GPTQ on one matrix: what they are for is a smaller error of the output than rounding to
// nearest gives, on inputs whose elements differ in size and depend on each other.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "compress/awq.h"
#include "compress/gptq.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

constexpr int64_t kRows = 48;
constexpr int64_t kWidth = 128;
constexpr int64_t kTokens = 400;

class Rounding : public testing::TestWithParam<DType> {
 protected:
  Rounding()
      : kernels_(Kernels::make(KernelChoice::kAuto, 2)),
        codec_(GetParam()),
        statistics_(kWidth, codec_.size(), true) {
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    for (float& w : weights_) w = 0.05F * normal(random);
    for (int64_t t = 0; t < kTokens; ++t) {
      float shared = normal(random);
      for (int64_t c = 0; c < kWidth; ++c) {
        const float size = c % 17 == 0 ? 8.0F : 0.5F;
        inputs_[static_cast<size_t>(t * kWidth + c)] = size * (0.8F * shared + normal(random));
      }
    }
    const MatmulJob job{.x = inputs_.data(), .x_stride = kWidth, .rows = kTokens};
    statistics_.add(job, *kernels_);
  }

  // Mean square of the difference in x w^T.
  double error(const std::vector<float>& changed) const {
    double sum = 0;
    for (int64_t t = 0; t < kTokens; ++t) {
      for (int64_t r = 0; r < kRows; ++r) {
        double difference = 0;
        for (int64_t c = 0; c < kWidth; ++c) {
          const auto at = static_cast<size_t>(r * kWidth + c);
          difference += static_cast<double>(changed[at] - weights_[at]) *
                        static_cast<double>(inputs_[static_cast<size_t>(t * kWidth + c)]);
        }
        sum += difference * difference;
      }
    }
    return sum / static_cast<double>(kTokens * kRows);
  }

  std::vector<float> decoded(const std::vector<std::byte>& blocks) const {
    std::vector<float> values(weights_.size());
    dequantize(GetParam(), blocks.data(), kRows * kWidth, values.data());
    return values;
  }
  std::vector<std::byte> room() const {
    return std::vector<std::byte>(static_cast<size_t>(byte_size(GetParam(), kRows * kWidth)));
  }
  double nearest_error() const {
    auto blocks = room();
    encode_groups(codec_, weights_, blocks.data());
    return error(decoded(blocks));
  }
  Tensor matrix() const {
    Tensor tensor;
    tensor.name = "w";
    tensor.shape = {kRows, kWidth};
    tensor.data = reinterpret_cast<const std::byte*>(weights_.data());
    tensor.bytes = kRows * kWidth * 4;
    return tensor;
  }

  std::unique_ptr<Kernels> kernels_;
  GroupCodec codec_;
  InputStatistics statistics_;
  std::vector<float> weights_ = std::vector<float>(kRows * kWidth);
  std::vector<float> inputs_ = std::vector<float>(kTokens * kWidth);
};

TEST_P(Rounding, ClippingLosesLessThanNotClipping) {
  auto blocks = room();
  encode_clipped(codec_, statistics_, {}, weights_.data(), kRows, blocks.data());
  EXPECT_LT(error(decoded(blocks)), nearest_error());
}

TEST_P(Rounding, ScalingByTheInputsLosesLessThanRounding) {
  const Tensor weight = matrix();
  Tensor norm;
  norm.name = "norm";
  norm.shape = {kWidth};
  Site site;
  site.consumers.push_back({&weight, 0});
  site.inputs = {"w"};
  site.producers = {&norm};
  Folds folds;
  const double promised = search_scales(
      site, {&statistics_}, [](const Tensor&) { return GetParam(); }, false, kernels_->threads(),
      folds);
  EXPECT_LT(promised, 0.9);

  const std::vector<float>& s = folds.of(weight).columns;
  ASSERT_EQ(s.size(), static_cast<size_t>(kWidth));
  for (size_t c = 0; c < s.size(); ++c) EXPECT_NEAR(folds.of(norm).rows[c] * s[c], 1.0F, 1e-5F);
  std::vector<float> scaled(weights_.size());
  folds.read(weight, 0, kRows, scaled.data());
  auto blocks = room();
  encode_clipped(codec_, statistics_, s, scaled.data(), kRows, blocks.data());
  auto values = decoded(blocks);
  for (size_t i = 0; i < values.size(); ++i) values[i] /= s[i % static_cast<size_t>(kWidth)];
  EXPECT_LT(error(values), 0.8 * nearest_error());
}

TEST_P(Rounding, GptqLosesLessThanRounding) {
  for (const bool act_order : {false, true}) {
    auto rounder = GptqRounder::make(statistics_, {}, act_order, kernels_->threads());
    ASSERT_TRUE(rounder) << rounder.error().message;
    auto blocks = room();
    auto values = weights_;
    rounder->encode_rows(codec_, values.data(), kRows, blocks.data());
    EXPECT_LT(error(decoded(blocks)), 0.7 * nearest_error()) << act_order;
  }
}

TEST_P(Rounding, GptqAfterScalingLosesLessThanScalingAlone) {
  const Tensor weight = matrix();
  Tensor norm;
  norm.name = "norm";
  norm.shape = {kWidth};
  Site site;
  site.consumers.push_back({&weight, 0});
  site.inputs = {"w"};
  site.producers = {&norm};
  Folds folds;
  search_scales(
      site, {&statistics_}, [](const Tensor&) { return GetParam(); }, false, kernels_->threads(),
      folds);
  const std::vector<float>& s = folds.of(weight).columns;
  const auto lost = [&](bool gptq) {
    std::vector<float> values(weights_.size());
    folds.read(weight, 0, kRows, values.data());
    auto blocks = room();
    if (gptq) {
      auto rounder = GptqRounder::make(statistics_, s, false, kernels_->threads());
      EXPECT_TRUE(rounder) << rounder.error().message;
      rounder->encode_rows(codec_, values.data(), kRows, blocks.data());
    } else {
      encode_clipped(codec_, statistics_, s, values.data(), kRows, blocks.data());
    }
    values = decoded(blocks);
    for (size_t i = 0; i < values.size(); ++i) values[i] /= s[i % static_cast<size_t>(kWidth)];
    return error(values);
  };
  EXPECT_LT(lost(true), lost(false));
}

TEST_P(Rounding, GptqRefusesInputsThatAreNotFinite) {
  inputs_[3] = std::nanf("");
  InputStatistics damaged(kWidth, codec_.size(), true);
  damaged.add({.x = inputs_.data(), .x_stride = kWidth, .rows = kTokens}, *kernels_);
  EXPECT_FALSE(GptqRounder::make(damaged, {}, false, kernels_->threads()));
}

INSTANTIATE_TEST_SUITE_P(Types, Rounding,
                         testing::Values(DType::kQ4_0, DType::kQ4_1, DType::kI4_64, DType::kI4_128,
                                         DType::kI4Z_128),
                         [](const auto& test) { return std::string(name(test.param)); });

TEST(InputStatistics, SumTheProductsOfEachPairOfInputs) {
  const auto kernels = Kernels::make(KernelChoice::kAuto, 2);
  const std::vector<float> x = {1, 2, 3, 4, -1, 0, 2, 5};  // two rows
  InputStatistics statistics(4, 2, true);
  statistics.add({.x = x.data(), .x_stride = 4, .rows = 2}, *kernels);
  EXPECT_EQ(statistics.rows(), 2);
  EXPECT_EQ(statistics.mean_magnitudes(), (std::vector<float>{1, 1, 2.5, 4.5}));
  EXPECT_EQ(statistics.diagonal_block(1)[1], 3 * 4 + 2 * 5);
  EXPECT_EQ(statistics.diagonal(), (std::vector<float>{2, 4, 13, 41}));
  const std::vector<float>& whole = statistics.whole();
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < 4; ++j) {
      EXPECT_NEAR(whole[i * 4 + j], x[i] * x[j] + x[4 + i] * x[4 + j], 1e-5F);
    }
  }
  const std::vector<int32_t> second = {1};
  InputStatistics gathered(4, 2, false);
  gathered.add({.x = x.data(), .x_stride = 4, .x_rows = second.data(), .rows = 1}, *kernels);
  EXPECT_EQ(gathered.diagonal_block(0)[0], 1);
  EXPECT_EQ(gathered.diagonal_block(1)[3], 25);
}

}  // namespace
}  // namespace fathom
