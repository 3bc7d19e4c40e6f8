#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

using nlohmann::json;

TEST(Bench, JsonHasAResultForEveryLengthBatchAndDepth) {
  const Finished finished =
      run({"bench", "-m", golden_model("deepseek_v3"), "--prefill", "8,40", "--decode", "3",
           "--batch", "1,5", "--context", "0,33", "--repeat", "1", "--threads", "1", "--json"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(finished.err, "");
  const json report = json::parse(finished.out);
  EXPECT_EQ(report.at("machine").at("threads"), 1);
  EXPECT_TRUE(report.at("machine").contains("kernels"));
  std::vector<std::tuple<std::string, int, int, int>> measured;
  for (const auto& result : report.at("results")) {
    measured.emplace_back(result.at("phase"), result.at("tokens"), result.at("batch"),
                          result.at("context"));
    EXPECT_GT(result.at("tokens_per_second"), 0.0);
  }
  const std::vector<std::tuple<std::string, int, int, int>> expected = {
      {"prefill", 8, 1, 0}, {"prefill", 40, 1, 0}, {"decode", 3, 1, 0},
      {"decode", 3, 5, 0},  {"decode", 3, 1, 33},  {"decode", 3, 5, 33}};
  EXPECT_EQ(measured, expected);
}

TEST(Bench, ZeroLeavesAPhaseOut) {
  const std::string model = golden_model("llama_gqa_tied");
  const auto phases = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"bench", "-m", model, "--json", "--repeat", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    std::set<std::string> names;
    const json report = json::parse(run(arguments).out);
    for (const auto& result : report.at("results")) names.insert(result.at("phase"));
    return names;
  };
  EXPECT_EQ(phases({"--prefill", "0", "--decode", "2"}), std::set<std::string>{"decode"});
  EXPECT_EQ(phases({"--prefill", "4", "--decode", "0"}), std::set<std::string>{"prefill"});
}

TEST(Bench, TheTableHasALineForEachResult) {
  const Finished finished = run({"bench", "-m", golden_model("llama_gqa_tied"), "--prefill", "8",
                                 "--decode", "2", "--batch", "1,2", "--repeat", "1"});
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_NE(finished.out.find("tokens/s"), std::string::npos);
  EXPECT_NE(finished.out.find("\nprefill "), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("\ndecode "), std::string::npos) << finished.out;
}

TEST(Bench, MoreTokensThanTheModelsContextAreWrongUsage) {
  const Finished finished =
      run({"bench", "-m", golden_model("llama_gqa_tied"), "--prefill", "100000"});
  EXPECT_EQ(finished.code, 2);
  EXPECT_NE(finished.err.find("512"), std::string::npos) << finished.err;
}

TEST(Bench, ABatchLargerThanAPrefillChunkIsPossible) {
  const Finished finished = run({"bench", "-m", golden_model("llama_gqa_tied"), "--prefill", "0",
                                 "--decode", "1", "--batch", "600"});
  EXPECT_EQ(finished.code, 0) << finished.err;
}

}  // namespace
}  // namespace fathom::test
