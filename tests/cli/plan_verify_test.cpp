#include "cli/plan_verify.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

using nlohmann::json;

class PlanVerify : public ::testing::Test {
 protected:
  Finished plan(std::vector<std::string> more, const std::string& model = talking_model()) const {
    // Words of some letters, of which each is a token.
    std::vector<std::string> arguments{"plan", "-m",       model, "--sessions", "1", "--context",
                                       "64",   "--prompt", "4",   "--output",   "8"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments, {}, {.environment = {"XDG_CACHE_HOME=" + directory_.path().string()}});
  }

  TemporaryDirectory directory_;
};

// The loads' lines are all there, with numbers.
void expect_loads(const json& rows, const std::string& err) {
  std::set<std::string> lines;
  for (const json& row : rows) {
    lines.insert(row.at("what"));
    EXPECT_GT(row.at("predicted"), 0) << row;
    EXPECT_GT(row.at("measured"), 0) << row;
    if (row.at("what").get<std::string>().starts_with("TTFT")) {
      for (const char* speed : {"by_fit", "own_speed", "10_percent_faster", "10_percent_slower"}) {
        EXPECT_GT(row.at(speed), 0) << speed << row;
      }
    }
  }
  for (const char* load : {"light load", "half load", "near saturation"}) {
    for (const char* of : {"TTFT", "ITL"}) {
      for (const char* share : {"p50", "p90"}) {
        EXPECT_TRUE(lines.contains(fmt::format("{}, {} {}", of, load, share))) << load << rows;
      }
    }
    EXPECT_TRUE(lines.contains(fmt::format("step, {}", load))) << load << rows;
    EXPECT_NE(err.find(load), std::string::npos) << err;
  }
  for (const char* line :
       {"memory", "memory, after the loads", "prefill 64", "decode 1", "decode 64"}) {
    EXPECT_TRUE(lines.contains(line)) << line << ": " << rows;
  }
}

TEST_F(PlanVerify, SetsWhatWasPredictedBesideWhatIsMeasured) {
  const Finished finished =
      plan({"--hardware", "this", "--verify", "--verify-seconds", "0.1", "--json"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  expect_loads(json::parse(finished.out).at("comparison"), finished.err);
  EXPECT_NE(finished.err.find("three loads, 10 minutes at most"), std::string::npos)
      << finished.err;
}

TEST_F(PlanVerify, PutsTheLoadOnTheEngineWhereAModelHasNoTokenizer) {
  const Finished finished =
      plan({"--verify", "--verify-seconds", "0.1", "--json"}, golden_model("llama_mha"));
  ASSERT_EQ(finished.code, 0) << finished.err;
  expect_loads(json::parse(finished.out).at("comparison"), finished.err);
}

TEST(LoadDurations, GiveEachLoadEnoughRequestsIfThereIsTime) {
  const auto fast = cli::load_durations({10, 20}, 20, 600);
  ASSERT_TRUE(fast.has_value());
  EXPECT_EQ(*fast, (std::vector<double>{20, 20}));
  const auto slow = cli::load_durations({0.5, 1, 2}, 20, 600);
  ASSERT_TRUE(slow.has_value());
  EXPECT_EQ(*slow, (std::vector<double>{80, 40, 20}));
  // 40 requests each would take 800 s, 10 take 200.
  const auto bounded = cli::load_durations({0.1, 0.1}, 20, 500);
  ASSERT_TRUE(bounded.has_value());
  EXPECT_NEAR(bounded->at(0), 250, 1e-9);
  EXPECT_NEAR(bounded->at(0) + bounded->at(1), 500, 1e-9);
  const auto never = cli::load_durations({0.1, 0.1}, 20, 150);
  ASSERT_FALSE(never.has_value());
  EXPECT_NE(never.error().message.find("take 3.3 minutes together, and 2.5 are allowed"),
            std::string::npos)
      << never.error().message;
}

TEST_F(PlanVerify, NeedsADeploymentOnThisMachine) {
  const Finished rented = plan({"--hardware", "a100-80gb", "--verify"});
  EXPECT_EQ(rented.code, 2);
  EXPECT_NE(rented.err.find("so there is nothing to verify"), std::string::npos) << rented.err;
  const Finished none = plan({"--hardware", "this", "--verify", "--itl-ms", "0.000001"});
  EXPECT_EQ(none.code, 1);
  EXPECT_NE(none.err.find("fails at itl"), std::string::npos) << none.err;
  const Finished long_one = plan({"--hardware", "this", "--verify", "--verify-seconds", "0"});
  EXPECT_EQ(long_one.code, 2);
  EXPECT_NE(long_one.err.find("--verify-seconds is 0"), std::string::npos) << long_one.err;
  const Finished hurried = plan({"--verify", "--verify-minutes", "0"});
  EXPECT_EQ(hurried.code, 2);
  EXPECT_NE(hurried.err.find("--verify-minutes is 0"), std::string::npos) << hurried.err;

  cli::VerifyRequest request;
  request.deployment.hardware.name = "a100-80gb";
  const auto rows = cli::verify(request);
  ASSERT_FALSE(rows.has_value());
  EXPECT_NE(rows.error().message.find("a100-80gb is not this machine"), std::string::npos);
}

}  // namespace
}  // namespace fathom::test
