#include "route/policy.h"

#include <gtest/gtest.h>

#include <cmath>

namespace fathom::route {
namespace {

TEST(RoutePolicy, SurvivesBeingWrittenAndRead) {
  Policy policy{.lite = "small",
                .v1 = "large",
                .judge = Judge::kWholeAnswer,
                .tokens = 7,
                .confidence = Logistic{.bias = 0.1, .mean_logprob = 2.5, .mean_entropy = -0.25},
                .threshold = 0.625,
                .rules = {.prompt_tokens = 4000, .tools = true, .classes = {"finance", "law"}}};
  const auto read = parse_policy(to_json(policy), "route.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->lite, "small");
  EXPECT_EQ(read->v1, "large");
  EXPECT_EQ(read->judge, Judge::kWholeAnswer);
  EXPECT_EQ(read->tokens, 7);
  EXPECT_DOUBLE_EQ(read->confidence->bias, 0.1);
  EXPECT_DOUBLE_EQ(read->confidence->mean_logprob, 2.5);
  EXPECT_DOUBLE_EQ(read->confidence->mean_entropy, -0.25);
  EXPECT_DOUBLE_EQ(read->threshold, 0.625);
  EXPECT_EQ(read->rules.prompt_tokens, 4000);
  EXPECT_TRUE(read->rules.tools);
  EXPECT_EQ(read->rules.classes, (std::vector<std::string>{"finance", "law"}));
}

TEST(RoutePolicy, WhatIsLeftOutIsAsItIsWithoutAFile) {
  const auto read = parse_policy("{}", "route.json");
  ASSERT_TRUE(read);
  EXPECT_EQ(to_json(*read), to_json(Policy{}));
}

TEST(RoutePolicy, SaysWhatIsWrongWithAFile) {
  const std::pair<const char*, const char*> cases[] = {
      {"[]", "object"},
      {"{", "route.json"},
      {R"({"threshold": 2})", "threshold"},
      {R"({"threshold": "high"})", "threshold"},
      {R"({"tokens": 0})", "tokens"},
      {R"({"tokens": 1.5})", "tokens"},
      {R"({"judge": "nobody"})", "first_tokens"},
      {R"({"lite": ""})", "lite"},
      {R"({"lite": "a", "v1": "a"})", "two models"},
      {R"({"rules": {"classes": [1]}})", "classes"},
      {R"({"rules": {"tools": 1}})", "tools"},
      {R"({"rules": {"colour": 1}})", "colour"},
      {R"({"confidence": {"bias": 1e300}})", "bias"},
      {R"({"confidence": 3})", "confidence"},
      {R"({"treshold": 0.5})", "treshold"},
      {R"({"tokens": 1, "tokens": 2})", "tokens"},
  };
  for (const auto& [json, word] : cases) {
    const auto read = parse_policy(json, "route.json");
    ASSERT_FALSE(read) << json;
    EXPECT_NE(read.error().message.find(word), std::string::npos) << read.error().message;
  }
}

TEST(RouteRules, SendWhatTheyDescribeToTheLargeModel) {
  const Rules rules{.prompt_tokens = 100, .tools = true, .classes = {"finance"}};
  EXPECT_EQ(rule_for(rules, {.prompt_tokens = 99}), "");
  EXPECT_EQ(rule_for(rules, {.prompt_tokens = 100}), "length");
  EXPECT_EQ(rule_for(rules, {.tools = true}), "tools");
  EXPECT_EQ(rule_for(rules, {.request_class = "finance"}), "class");
  EXPECT_EQ(rule_for(rules, {.request_class = "sport"}), "");
}

TEST(RouteRules, NoneIsThereUnlessAsked) {
  EXPECT_EQ(rule_for({}, {.prompt_tokens = 1 << 30, .tools = true, .request_class = "x"}), "");
}

TEST(RouteConfidence, WithoutCalibrationIsTheGeometricMeanOfTheProbabilities) {
  // Tokens of probability 0.5 and 0.125: their geometric mean is 0.25.
  const Evidence evidence{.tokens = 2, .mean_logprob = (std::log(0.5) + std::log(0.125)) / 2};
  EXPECT_NEAR(confidence_in({}, evidence), 0.25, 1e-12);
}

TEST(RouteConfidence, WithoutATokenThereIsNone) {
  EXPECT_EQ(confidence_in({}, {}), 0);
}

TEST(RouteConfidence, IsTheLogisticFunctionWhereItWasFitted) {
  Policy policy;
  policy.confidence = Logistic{.bias = 1, .mean_logprob = 2, .mean_entropy = -1};
  const Evidence evidence{.tokens = 4, .mean_logprob = -0.5, .mean_entropy = 3};
  EXPECT_NEAR(confidence_in(policy, evidence), 1 / (1 + std::exp(3.0)), 1e-12);
}

}  // namespace
}  // namespace fathom::route
