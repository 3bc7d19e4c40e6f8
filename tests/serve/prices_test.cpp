#include "serve/prices.h"

#include <gtest/gtest.h>

namespace fathom::serve {
namespace {

TEST(Prices, ChargePromptCacheAndAnswerEachByItsOwn) {
  const auto prices = Prices::parse(
      R"({"big": {"input": 2, "cached_input": 0.5, "output": 8}, "*": {"input": 1, "output": 1}})",
      "prices.json");
  ASSERT_TRUE(prices) << prices.error().message;
  EXPECT_DOUBLE_EQ(prices->cost("big", 1'000'000, 400'000, 250'000), 1.2 + 0.2 + 2);
  EXPECT_DOUBLE_EQ(prices->cost("other", 500'000, 400'000, 500'000), 1);
  EXPECT_DOUBLE_EQ(Prices().cost("big", 1'000'000, 0, 1), 0);
}

TEST(Prices, CostNothingForModelsThatHaveNone) {
  const auto prices = Prices::parse(R"({"big": {"input": 2, "output": 8}})", "prices.json");
  ASSERT_TRUE(prices);
  EXPECT_DOUBLE_EQ(prices->cost("small", 1'000'000, 0, 1'000'000), 0);
}

TEST(Prices, SayWhatIsWrongWithATable) {
  const std::pair<const char*, const char*> wrong[] = {
      {"[]", "no prices"},
      {"{}", "no prices"},
      {"{", "prices.json"},
      {R"({"m": 3})", "not an object"},
      {R"({"m": {"input": 1}})", "has no \"output\""},
      {R"({"m": {"input": 1, "output": -1}})", "0 or more"},
      {R"({"m": {"input": "1", "output": 1}})", "0 or more"},
      {R"({"m": {"input": 1, "output": 1, "outptu": 1}})", "outptu"},
  };
  for (const auto& [json, part] : wrong) {
    const auto prices = Prices::parse(json, "prices.json");
    ASSERT_FALSE(prices) << json;
    EXPECT_NE(prices.error().message.find(part), std::string::npos) << prices.error().message;
  }
}

}  // namespace
}  // namespace fathom::serve
