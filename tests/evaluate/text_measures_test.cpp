// Perplexity and divergence against transformers and torch (golden/make_perplexity_golden.py).
#include <gtest/gtest.h>

#include <cmath>

#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "evaluate/distribution.h"
#include "evaluate/divergence.h"
#include "evaluate/perplexity.h"
#include "evaluate/saved_logits.h"
#include "evaluate/statistics.h"
#include "hub/test_files.h"

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

class SavedLogitsTest : public testing::Test {
 protected:
  static LogitsWriter writer(const std::filesystem::path& path, int64_t vocab,
                             const std::vector<int32_t>& tokens, const Windowing& windowing) {
    auto made = LogitsWriter::create(path, tokens, windowing, vocab);
    EXPECT_TRUE(made) << made.error().message;
    return *std::move(made);
  }

  hub::TemporaryDirectory folder_;
  std::filesystem::path path_ = folder_.path() / "reference.logits";
};

TEST_F(SavedLogitsTest, StandForTheModelTheyAreOf) {
  const auto expected = golden();
  const auto tokens = expected["tokens"].get<std::vector<int32_t>>();
  const Model model = load(expected["model"]);
  const Model reference = load(expected["reference"]);
  for (const int64_t stride : {int64_t{0}, int64_t{7}}) {
    const Windowing windowing{.context = 16, .stride = stride};
    LogitsWriter file = writer(path_, reference.info().vocab_size, tokens, windowing);
    const auto saved =
        measure_perplexity(reference, tokens, windowing, {},
                           [&](std::span<const float> logits) { return file.add(logits); });
    ASSERT_TRUE(saved && file.commit());
    const auto logits = SavedLogits::open(path_);
    ASSERT_TRUE(logits) << logits.error().message;
    EXPECT_EQ(logits->tokens(), tokens);
    EXPECT_EQ(logits->rows(), saved->tokens);
    const auto live = measure_divergence(model, reference, tokens, windowing);
    const auto kept = measure_divergence(model, *logits);
    ASSERT_TRUE(live && kept);
    EXPECT_EQ(kept->tokens, live->tokens);
    EXPECT_NEAR(kept->mean, live->mean, 1e-6);
    EXPECT_NEAR(kept->largest, live->largest, 1e-4);
    EXPECT_NEAR(kept->reference_nll, live->reference_nll, 1e-5);
    EXPECT_EQ(kept->nll, live->nll);
    EXPECT_EQ(kept->top1_agreement, live->top1_agreement);
  }
}

TEST_F(SavedLogitsTest, KeepMinusInfinityAndRowsOfOneValue) {
  const float minus = -std::numeric_limits<float>::infinity();
  LogitsWriter file = writer(path_, 4, {1, 2, 3}, {.context = 4});
  ASSERT_TRUE(file.add(std::vector<float>{-3, minus, 29, 0.25F}));
  ASSERT_TRUE(file.add(std::vector<float>{2, 2, 2, 2}));
  ASSERT_TRUE(file.commit());
  const auto logits = SavedLogits::open(path_);
  ASSERT_TRUE(logits) << logits.error().message;
  ASSERT_EQ(logits->rows(), 2);
  std::vector<float> row(4);
  logits->row(0, row);
  EXPECT_EQ(row[0], -3);
  EXPECT_EQ(row[1], minus);
  EXPECT_NEAR(row[2], 29, 1e-5);
  EXPECT_NEAR(row[3], 0.25, 3e-4);
  logits->row(1, row);
  EXPECT_EQ(row, std::vector<float>(4, 2.0F));
}

TEST_F(SavedLogitsTest, RefuseFilesThatAreDamagedAndOtherVocabularies) {
  LogitsWriter file = writer(path_, 4, {1, 2, 3}, {.context = 4});
  ASSERT_TRUE(file.add(std::vector<float>(4)) && file.add(std::vector<float>(4)) && file.commit());
  const auto other = measure_divergence(load("llama_mha"), *SavedLogits::open(path_));
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("vocabulary"), std::string::npos);
  const auto refused = [&](const char* part) {
    const auto logits = SavedLogits::open(path_);
    ASSERT_FALSE(logits);
    EXPECT_NE(logits.error().message.find(part), std::string::npos) << logits.error().message;
  };
  const auto size = std::filesystem::file_size(path_);
  std::filesystem::resize_file(path_, size - 1);
  refused("damaged");
  std::filesystem::resize_file(path_, 60);
  refused("damaged");
  std::filesystem::resize_file(path_, 10);
  refused("holds no logits");
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
