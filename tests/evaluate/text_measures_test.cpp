// Perplexity and divergence against transformers and torch (golden/make_perplexity_golden.py).
#include <gtest/gtest.h>

#include <cmath>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "evaluate/distribution.h"
#include "evaluate/divergence.h"
#include "evaluate/perplexity.h"
#include "evaluate/statistics.h"

namespace fathom {
namespace {

nlohmann::json golden() {
  std::ifstream file(FATHOM_TEST_DATA "/golden/perplexity.json");
  return nlohmann::json::parse(file);
}

Model load(const std::string& name) {
  LoadOptions options;
  options.threads = 2;
  options.kernels = KernelSet::kReference;
  auto model = Model::load(FATHOM_TEST_DATA "/golden/models/" + name, options);
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

TEST(PerplexityTest, EqualsTransformersForEveryStride) {
  const auto expected = golden();
  const Model model = load(expected["model"]);
  const auto tokens = expected["tokens"].get<std::vector<int32_t>>();
  for (const auto& one : expected["perplexity"]) {
    const auto result =
        measure_perplexity(model, tokens, {.context = one["context"], .stride = one["stride"]});
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->tokens, one["tokens"]);
    const double value = one["perplexity"];
    EXPECT_NEAR(result->perplexity, value, value * 1e-5) << one.dump();
  }
}

TEST(PerplexityTest, NeedsTwoTokens) {
  const Model model = load("llama_mha");
  const auto result = measure_perplexity(model, {5}, {});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("1 tokens"), std::string::npos);
}

TEST(PerplexityTest, StopsWhenAsked) {
  const Model model = load("llama_mha");
  const std::vector<int32_t> tokens(200, 7);
  int64_t calls = 0;
  EXPECT_FALSE(
      measure_perplexity(model, tokens, {.context = 50}, [&](int64_t) { return ++calls < 2; }));
  EXPECT_EQ(calls, 2);
}

TEST(DivergenceTest, EqualsTorch) {
  const auto expected = golden();
  const auto& values = expected["divergence"];
  const auto tokens = expected["tokens"].get<std::vector<int32_t>>();
  const auto result = measure_divergence(load(expected["model"]), load(expected["reference"]),
                                         tokens, {.context = values["context"]});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->tokens, values["tokens"]);
  EXPECT_NEAR(result->mean, values["mean"].get<double>(), 1e-5);
  EXPECT_NEAR(result->median, values["median"].get<double>(), 1e-5);
  EXPECT_NEAR(result->p90, values["p90"].get<double>(), 1e-5);
  EXPECT_NEAR(result->p99, values["p99"].get<double>(), 1e-5);
  EXPECT_NEAR(result->largest, values["largest"].get<double>(), 1e-5);
  EXPECT_NEAR(result->top1_agreement, values["top1_agreement"].get<double>(), 1e-12);
}

TEST(DivergenceTest, OfAModelFromItselfIsZero) {
  const Model model = load("qwen3");
  const std::vector<int32_t> tokens = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto result = measure_divergence(model, model, tokens, {.context = 8});
  ASSERT_TRUE(result);
  EXPECT_NEAR(result->mean, 0, 1e-9);
  EXPECT_EQ(result->top1_agreement, 1);
}

TEST(Distribution, KeepsLogitsOfMinusInfinityOutOfTheSum) {
  const float minus = -std::numeric_limits<float>::infinity();
  const std::vector<float> p = {1, minus, 1};
  EXPECT_NEAR(log_sum_exp(p), 1 + std::log(2.0), 1e-12);
  EXPECT_NEAR(kl_divergence(p, std::vector<float>{0, 5, 0}), std::log((2 + std::exp(5.0)) / 2),
              1e-6);
  EXPECT_TRUE(std::isinf(kl_divergence(std::vector<float>{0, 5, 0}, p)));
}

TEST(Statistics, GiveMeanErrorAndPercentilesAsNumpyDoes) {
  // numpy: mean, std(ddof=1) / sqrt(5), percentile(25), percentile(90)
  Mean mean;
  for (const double x : {1.0, 4.0, 4.5, 10.0, 2.0}) mean.add(x);
  EXPECT_NEAR(mean.mean(), 4.3, 1e-12);
  EXPECT_NEAR(mean.standard_error(), 1.562049935181331, 1e-12);
  EXPECT_NEAR(percentile({1, 2, 4, 4.5, 10}, 0.25), 2, 1e-12);
  EXPECT_NEAR(percentile({1, 2, 4, 4.5, 10}, 0.9), 7.8, 1e-12);
}

}  // namespace
}  // namespace fathom
