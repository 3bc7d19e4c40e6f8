#include "evaluate/temperature.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "checkpoint/stored_temperature.h"
#include "cli/tiny_model.h"
#include "engine/calibration.h"
#include "engine/engine.h"
#include "evaluate/distribution.h"

namespace fathom {
namespace {

Model load(const std::string& path) {
  LoadOptions options;
  options.threads = 1;
  options.kernels = KernelSet::kReference;
  auto model = Model::load(path, options);
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

std::vector<float> random_logits(std::mt19937_64& random) {
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(500);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

double expectation(const std::vector<float>& p, const std::vector<float>& q) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    sum += std::exp(static_cast<double>(p[i]) - log_sum_exp(p)) * static_cast<double>(q[i]);
  }
  return sum;
}

TEST(TemperatureFit, FindsTheTemperatureThatADistributionWasMadeWith) {
  for (const float made : {0.7F, 1.0F, 1.31F}) {
    std::mt19937_64 random(7);
    TemperatureFit fit;
    for (int i = 0; i < 20; ++i) {
      const auto logits = random_logits(random);
      std::vector<float> reference = logits;
      for (float& logit : reference) logit /= made;
      fit.add(logits, expectation(reference, logits));
    }
    const auto found = fit.best();
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_NEAR(*found, made, 1e-4);
  }
}

TEST(TemperatureFit, FindsTheLeastLossOfAText) {
  std::mt19937_64 random(3);
  std::vector<std::pair<std::vector<float>, size_t>> text;
  TemperatureFit fit;
  for (int i = 0; i < 200; ++i) {
    auto logits = random_logits(random);
    std::vector<double> weights;
    for (const float logit : logits) weights.push_back(std::exp(static_cast<double>(logit) / 1.2));
    const size_t next = std::discrete_distribution<size_t>(weights.begin(), weights.end())(random);
    fit.add(logits, static_cast<double>(logits[next]));
    text.emplace_back(std::move(logits), next);
  }
  const auto loss = [&](double temperature) {
    double sum = 0;
    for (const auto& [logits, next] : text) {
      std::vector<float> divided = logits;
      for (float& logit : divided) logit = static_cast<float>(logit / temperature);
      sum += log_sum_exp(divided) - static_cast<double>(divided[next]);
    }
    return sum;
  };
  const double found = *fit.best();
  EXPECT_LT(loss(found), loss(found * 1.01));
  EXPECT_LT(loss(found), loss(found / 1.01));
}

TEST(TemperatureFit, RefusesWhatNoTemperatureExplains) {
  EXPECT_FALSE(TemperatureFit().best());
  std::mt19937_64 random(3);
  const auto logits = random_logits(random);
  TemperatureFit fit;  // a reference that is nearly certain of what the model finds unlikely
  fit.add(logits, 100);
  EXPECT_FALSE(fit.best());
}

TEST(CalibrationError, IsHowFarConfidenceIsFromAccuracy) {
  CalibrationError error;
  EXPECT_EQ(error.value(), 0);
  for (int i = 0; i < 10; ++i) error.add(0.7, i < 7);
  EXPECT_NEAR(error.value(), 0, 1e-12);
  for (int i = 0; i < 10; ++i) error.add(0.9, i < 4);
  EXPECT_NEAR(error.value(), 0.25, 1e-12);  // half of the tokens are off by 0.5
  error.add(1, true);
  EXPECT_NEAR(error.value(), 0.5 * 20 / 21 * 0.5, 1e-12);
}

TEST(FitTemperature, UndoesATemperatureThatAModelWasGiven) {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path() / "hot.gguf";
  const Model original = load(FATHOM_TEST_DATA "/golden/quantized/Q8_0.gguf");
  ASSERT_TRUE(store_temperature(*original.impl()->engine->checkpoint, {1.25}, path));
  const Model hot = load(path);
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < 64; ++i) {
    tokens.push_back(static_cast<int32_t>((i * 37 + i / 3) % original.info().vocab_size));
  }
  const auto fitted = fit_temperature(hot, &original, tokens, {.context = 16});
  ASSERT_TRUE(fitted) << fitted.error().message;
  EXPECT_NEAR(fitted->temperature.value, 1 / 1.25, 1e-3);
  EXPECT_EQ(fitted->fitted_tokens, 30);
  EXPECT_EQ(fitted->measured_tokens, 30);
  EXPECT_GT(fitted->before.kl, 1e-6);
  EXPECT_LT(fitted->after.kl, fitted->before.kl / 100);

  forget_calibration(hot);  // nothing is left to undo
  const auto none = fit_temperature(hot, &original, tokens, {.context = 16});
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_NEAR(none->temperature.value, 1, 1e-6);
  EXPECT_NEAR(none->before.kl, 0, 1e-7);

  const auto short_text = fit_temperature(hot, nullptr, {1, 2, 3}, {.context = 16});
  ASSERT_FALSE(short_text);
  EXPECT_NE(short_text.error().message.find("3 tokens"), std::string::npos);
}

TEST(FitTemperature, FindsABiasOfPositionsWhereThereIsOne) {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path() / "hot.gguf";
  const Model original = load(FATHOM_TEST_DATA "/golden/quantized/Q8_0.gguf");
  // Right at first, too flat from the eighth token on.
  const StoredTemperature wrong{1, {0, 0, 0, std::log(1.5F)}};
  ASSERT_TRUE(store_temperature(*original.impl()->engine->checkpoint, wrong, path));
  const Model hot = load(path);
  std::vector<int32_t> tokens;
  tokens.reserve(4096);
  for (int32_t i = 0; i < 4096; ++i) {
    tokens.push_back(static_cast<int32_t>((i * 37 + i / 3) % original.info().vocab_size));
  }
  const auto fitted = fit_temperature(hot, &original, tokens, {.context = 16}, {}, true);
  ASSERT_TRUE(fitted) << fitted.error().message;
  // Positions 0 to 14 are scored; what is common to all of them draws each a little.
  ASSERT_EQ(fitted->temperature.bias.size(), 4U);
  EXPECT_NEAR(fitted->temperature.at(3), 1, 0.08);
  EXPECT_NEAR(fitted->temperature.at(8), 1 / 1.5, 0.05);
  EXPECT_LT(fitted->everywhere.kl, fitted->before.kl);
  EXPECT_LT(fitted->after.kl, fitted->everywhere.kl / 2);

  const auto common = fit_temperature(hot, &original, tokens, {.context = 16});
  ASSERT_TRUE(common) << common.error().message;
  EXPECT_TRUE(common->temperature.bias.empty());
  EXPECT_EQ(common->after.kl, common->everywhere.kl);
}

TEST(StoredTemperature, DividesByPositionInWhateverStepsATextIsRead) {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path() / "copy.gguf";
  const Model model = load(FATHOM_TEST_DATA "/golden/quantized/Q4_0.gguf");
  const std::vector<int32_t> tokens = {1, 2, 3, 4, 5};
  const auto before = *Session(model).logits(tokens, true);
  const StoredTemperature stored{1, {0, std::log(2.0F), std::log(0.5F)}};
  ASSERT_TRUE(store_temperature(*model.impl()->engine->checkpoint, stored, path));
  const Model biased = load(path);
  const auto after = *Session(biased).logits(tokens, true);
  const double expected[] = {1, 2, 2, 0.5, 0.5};
  for (size_t row = 0; row < after.size(); ++row) {
    for (size_t i = 0; i < after[row].size(); ++i) {
      ASSERT_NEAR(after[row][i], static_cast<double>(before[row][i]) / expected[row], 1e-5) << row;
    }
    // The last row alone, which a batch may ask for.
    const std::vector<int32_t> begin(tokens.begin(),
                                     tokens.begin() + static_cast<std::ptrdiff_t>(row) + 1);
    const auto last = *Session(biased).logits(begin, false);
    ASSERT_EQ(last.size(), 1U);
    for (size_t i = 0; i < last[0].size(); ++i) ASSERT_NEAR(last[0][i], after[row][i], 1e-4);
  }
  forget_calibration(biased);
  EXPECT_EQ(*Session(biased).logits(tokens, true), before);
}

TEST(StoredTemperature, DividesAllLogits) {
  const test::TemporaryDirectory folder;
  const std::string path = folder.path() / "copy.gguf";
  const Model model = load(FATHOM_TEST_DATA "/golden/quantized/Q4_0.gguf");
  const auto before = *Session(model).logits({1, 2, 3}, true);
  ASSERT_TRUE(store_temperature(*model.impl()->engine->checkpoint, {2}, path));
  const Model halved = load(path);
  const auto after = *Session(halved).logits({1, 2, 3}, true);
  ASSERT_EQ(after.size(), before.size());
  for (size_t row = 0; row < after.size(); ++row) {
    for (size_t i = 0; i < after[row].size(); ++i) {
      ASSERT_NEAR(after[row][i], before[row][i] / 2, 1e-5);
    }
  }
  forget_calibration(halved);
  EXPECT_EQ(*Session(halved).logits({1, 2, 3}, true), before);
}

}  // namespace
}  // namespace fathom
