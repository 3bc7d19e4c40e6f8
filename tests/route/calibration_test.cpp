#include "route/calibration.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace fathom::route {
namespace {

Trial trial(double logprob, bool good) {
  return {.evidence = {.tokens = 1, .mean_logprob = logprob},
          .lite_quality = good ? 1.0 : 0.0,
          .v1_quality = 1,
          .judged_cost = 0.1,
          .lite_cost = 1,
          .v1_cost = 10};
}

TEST(RouteFit, FindsTheFunctionThatTheDataCameFrom) {
  const Logistic truth{.bias = 1.5, .mean_logprob = 3, .mean_entropy = -0.5};
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> unit(0, 1);
  std::vector<Trial> trials;
  for (int i = 0; i < 40'000; ++i) {
    Trial one = trial(-2 * unit(random), true);
    one.evidence.mean_entropy = 4 * unit(random);
    one.lite_quality = unit(random) < truth.probability(one.evidence) ? 1 : 0;
    trials.push_back(one);
  }
  // The standard error of the coefficients is about 0.04 with so many questions.
  const Logistic found = fit(trials);
  EXPECT_NEAR(found.bias, truth.bias, 0.2);
  EXPECT_NEAR(found.mean_logprob, truth.mean_logprob, 0.2);
  EXPECT_NEAR(found.mean_entropy, truth.mean_entropy, 0.1);
}

TEST(RouteFit, StaysFiniteWhereTheDataCanBeSeparated) {
  std::vector<Trial> trials;
  for (int i = 0; i < 200; ++i) trials.push_back(trial(-0.01 * i, i < 100));
  const Logistic found = fit(trials);
  ASSERT_TRUE(std::isfinite(found.mean_logprob));
  EXPECT_GT(found.probability(trials.front().evidence), 0.9);
  EXPECT_LT(found.probability(trials.back().evidence), 0.1);
}

TEST(RouteFit, OfNothingOrOfEqualAnswersSaysWhatIsKnown) {
  EXPECT_EQ(fit({}).probability({.tokens = 1, .mean_logprob = -1}), 0.5);
  std::vector<Trial> good(50, trial(-0.5, true));
  EXPECT_GT(fit(good).probability(good.front().evidence), 0.9);
}

TEST(RouteCurve, GoesFromLiteForAllToV1ForAll) {
  // Unsure answers are wrong, and one sure one too.
  const std::vector<Trial> trials = {trial(std::log(0.9), true), trial(std::log(0.8), false),
                                     trial(std::log(0.4), true), trial(std::log(0.2), false)};
  const auto points = curve({}, trials);
  ASSERT_EQ(points.size(), 5U);
  EXPECT_EQ(points.front().escalated, 0);
  EXPECT_DOUBLE_EQ(points.front().quality, 0.5);
  EXPECT_DOUBLE_EQ(points.front().cost, 1);
  EXPECT_EQ(points.back().escalated, 1);
  EXPECT_DOUBLE_EQ(points.back().quality, 1);
  EXPECT_DOUBLE_EQ(points.back().cost, 10.1);
  // With the most unsure one sent on: three answers cost 1, one 10.1.
  EXPECT_NEAR(points[1].threshold, 0.3, 1e-9);
  EXPECT_DOUBLE_EQ(points[1].quality, 0.75);
  EXPECT_DOUBLE_EQ(points[1].cost, (3 + 10.1) / 4);
  for (size_t i = 1; i < points.size(); ++i) {
    EXPECT_GE(points[i].escalated, points[i - 1].escalated);
  }
}

TEST(RouteCurve, AnswersOfEqualConfidenceGoTheSameWay) {
  const std::vector<Trial> trials(3, trial(std::log(0.5), true));
  EXPECT_EQ(curve({}, trials).size(), 2U);
}

TEST(RouteChoice, IsTheCheapestOfTheWantedQualityOrTheBestForTheMoney) {
  const std::vector<CurvePoint> points = {{.threshold = 0, .quality = 0.5, .cost = 1},
                                          {.threshold = 0.3, .quality = 0.8, .cost = 3},
                                          {.threshold = 0.6, .quality = 0.8, .cost = 5},
                                          {.threshold = 1, .quality = 0.9, .cost = 10}};
  EXPECT_DOUBLE_EQ(cheapest_with_quality(points, 0.7)->threshold, 0.3);
  EXPECT_FALSE(cheapest_with_quality(points, 0.95));
  EXPECT_DOUBLE_EQ(best_within_cost(points, 6)->threshold, 0.3);
  EXPECT_FALSE(best_within_cost(points, 0.5));
}

}  // namespace
}  // namespace fathom::route
