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
  Finished plan(std::vector<std::string> more) const {
    // Words of some letters, of which each is a token.
    std::vector<std::string> arguments{
        "plan",     "-m", talking_model(), "--sessions", "1", "--context", "256",
        "--prompt", "4",  "--output",      "64"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments, {}, {.environment = {"XDG_CACHE_HOME=" + directory_.path().string()}});
  }

  TemporaryDirectory directory_;
};

TEST_F(PlanVerify, SetsWhatWasPredictedBesideWhatIsMeasured) {
  const Finished finished =
      plan({"--hardware", "this", "--verify", "--verify-seconds", "1", "--json"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  const json rows = json::parse(finished.out).at("comparison");
  std::set<std::string> lines;
  for (const json& row : rows) {
    lines.insert(row.at("what"));
    EXPECT_GT(row.at("predicted"), 0) << row;
    EXPECT_GT(row.at("measured"), 0) << row;
  }
  for (const char* line :
       {"memory", "prefill 64", "prefill 2048", "decode 1", "decode 64", "decode 1 at 4096"}) {
    EXPECT_TRUE(lines.contains(line)) << line << ": " << rows;
  }
  for (const char* load : {"light load", "half load", "near saturation"}) {
    for (const char* of : {"TTFT", "ITL"}) {
      for (const char* share : {"p50", "p90"}) {
        EXPECT_TRUE(lines.contains(fmt::format("{}, {} {}", of, load, share))) << load << rows;
      }
    }
    EXPECT_NE(finished.err.find(load), std::string::npos) << finished.err;
  }
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

  cli::VerifyRequest request;
  request.deployment.hardware.name = "a100-80gb";
  const auto rows = cli::verify(request);
  ASSERT_FALSE(rows.has_value());
  EXPECT_NE(rows.error().message.find("a100-80gb is not this machine"), std::string::npos);
}

}  // namespace
}  // namespace fathom::test
