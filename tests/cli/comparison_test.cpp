#include "cli/comparison.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace fathom::test {
namespace {

using nlohmann::json;

TEST(Comparison, IsATableWithTheMedianAndTheWorstErrorOfEachGroup) {
  const std::vector<cli::Comparison> rows = {
      {.model = "a", .what = "prefill 64", .unit = "tokens/s", .predicted = 110, .measured = 100},
      {.model = "a", .what = "decode 1", .unit = "tokens/s", .predicted = 8, .measured = 10},
      {.model = "a", .what = "decode 2", .unit = "tokens/s", .predicted = 21, .measured = 20},
      {.model = "b", .what = "decode 4", .unit = "tokens/s", .predicted = 30, .measured = 30}};
  const std::string text = cli::comparison_table(rows, {"memory", "prefill", "decode"});
  EXPECT_NE(text.find("prefill: median error 10.0%, worst 10.0%\n"), std::string::npos) << text;
  EXPECT_NE(text.find("decode: median error 5.0%, worst 20.0%\n"), std::string::npos) << text;
  EXPECT_NE(text.find("-20.0%  tokens/s"), std::string::npos) << text;
  EXPECT_EQ(text.find("memory"), std::string::npos) << text;
  EXPECT_EQ(text.find("held out"), std::string::npos) << text;
}

TEST(Comparison, SaysHowWellCostsDoThatDoNotKnowTheModel) {
  const std::vector<cli::Comparison> rows = {{.model = "a",
                                              .what = "decode 1",
                                              .unit = "tokens/s",
                                              .predicted = 11,
                                              .measured = 10,
                                              .held_out = 15}};
  const std::string text = cli::comparison_table(rows, {"decode"});
  EXPECT_NE(text.find("held out"), std::string::npos) << text;
  EXPECT_NE(text.find("by costs that do not know the model 50.0%, 50.0%"), std::string::npos)
      << text;
  const json list = json::parse(cli::comparison_json(rows)).at("comparison");
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].at("what"), "decode 1");
  EXPECT_EQ(list[0].at("predicted"), 11);
  EXPECT_EQ(list[0].at("measured"), 10);
  EXPECT_EQ(list[0].at("held_out"), 15);
}

TEST(Comparison, SaysWhatOtherSpeedsOfTheMachineWouldMake) {
  const std::vector<cli::Comparison> rows = {
      {.model = "a",
       .what = "TTFT, half load p50",
       .unit = "ms",
       .predicted = 90,
       .measured = 100,
       .other_speeds =
           cli::OtherSpeeds{.by_fit = 50, .own_speed = 104, .faster = 80, .slower = 105}},
      {.model = "a", .what = "memory", .unit = "MB", .predicted = 90, .measured = 100}};
  const std::string text = cli::comparison_table(rows, {"TTFT"});
  EXPECT_NE(text.find("by fit"), std::string::npos) << text;
  EXPECT_NE(text.find("-50.0%"), std::string::npos) << text;
  EXPECT_NE(text.find("80.0 to 105.0  ms"), std::string::npos) << text;
  EXPECT_NE(text.find("by the speed during the load 4.0%, 4.0%"), std::string::npos) << text;
  const json list = json::parse(cli::comparison_json(rows)).at("comparison");
  EXPECT_EQ(list[0].at("by_fit"), 50);
  EXPECT_EQ(list[0].at("own_speed"), 104);
  EXPECT_EQ(list[0].at("10_percent_faster"), 80);
  EXPECT_EQ(list[0].at("10_percent_slower"), 105);
  EXPECT_FALSE(list[1].contains("by_fit"));
}

}  // namespace
}  // namespace fathom::test
