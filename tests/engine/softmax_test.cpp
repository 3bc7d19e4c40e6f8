#include "engine/softmax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace fathom {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Softmax, ExponentiatesAsTheStandardLibraryDoes) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 12);
  for (const size_t size : {1U, 63U, 64U, 1000U}) {
    std::vector<float> logits(size);
    float best = -kInfinity;
    for (float& x : logits) {
      x = normal(random);
      best = std::max(best, x);
    }
    std::vector<float> weights(size);
    double expected_sum = 0;
    const double sum = exponentiate(logits, best, 0.7F, weights);
    for (size_t i = 0; i < size; ++i) {
      const double expected = std::exp((double{logits[i]} - double{best}) * 0.7);
      EXPECT_NEAR(weights[i], expected, 1e-5 * expected) << logits[i] - best;
      expected_sum += expected;
    }
    EXPECT_NEAR(sum, expected_sum, 1e-6 * expected_sum);
    EXPECT_EQ(exponentiate(logits, best, 0.7F, {}), sum);
  }
}

TEST(Softmax, GivesNoWeightToWhatIsNoNumberOrFarBelow) {
  const std::vector<float> logits = {1.0F, kNan, -kInfinity, -200.0F, 0.0F};
  std::vector<float> weights(logits.size());
  EXPECT_NEAR(exponentiate(logits, 1.0F, 1.0F, weights), 1.0 + std::exp(-1.0), 1e-6);
  EXPECT_EQ(weights[0], 1.0F);
  EXPECT_EQ(weights[1], 0.0F);
  EXPECT_EQ(weights[2], 0.0F);
  EXPECT_EQ(weights[3], 0.0F);
}

TEST(Softmax, FindsEveryPlaceAboveAThreshold) {
  std::mt19937 random(2);
  for (const size_t size : {0U, 1U, 64U, 65U, 300U}) {
    std::vector<float> values(size);
    for (float& v : values) v = static_cast<float>(random() % 40);
    if (size > 10) values[7] = kNan;
    std::vector<size_t> expected;
    for (size_t i = 0; i < size; ++i) {
      if (values[i] > 37) expected.push_back(i);
    }
    std::vector<size_t> found;
    for (size_t i = find_above(values, 0, 37); i < size; i = find_above(values, i + 1, 37)) {
      found.push_back(i);
    }
    EXPECT_EQ(found, expected);
  }
}

TEST(Softmax, SeesASingleNan) {
  std::vector<float> values(200, 1.0F);
  EXPECT_FALSE(has_nan(values));
  for (const size_t at : {0U, 63U, 64U, 199U}) {
    values[at] = kNan;
    EXPECT_TRUE(has_nan(values));
    values[at] = kInfinity;
    EXPECT_FALSE(has_nan(values));
  }
}

}  // namespace
}  // namespace fathom
