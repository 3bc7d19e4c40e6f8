#include "engine/token_scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace fathom {
namespace {

TEST(Entropy, OfEqualLogitsIsTheLogarithmOfTheirNumber) {
  EXPECT_NEAR(entropy_of(std::vector<float>(1000, 3.5F)), std::log(1000.0), 1e-5);
}

TEST(Entropy, OfACertainTokenIsNothing) {
  std::vector<float> logits(1000, -200.0F);
  logits[7] = 100;
  EXPECT_NEAR(entropy_of(logits), 0, 1e-6);
}

TEST(Entropy, TokensThatCannotComeAddNothing) {
  std::vector<float> logits(10, -std::numeric_limits<float>::infinity());
  logits[1] = logits[4] = 2;
  EXPECT_NEAR(entropy_of(logits), std::log(2.0), 1e-6);
}

TEST(Entropy, OfTwoUnequalTokensIsTheBinaryEntropy) {
  // Probabilities 0.8 and 0.2.
  const std::vector<float> logits = {std::log(4.0F), 0};
  EXPECT_NEAR(entropy_of(logits), -0.8 * std::log(0.8) - 0.2 * std::log(0.2), 1e-6);
}

}  // namespace
}  // namespace fathom
