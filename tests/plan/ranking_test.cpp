#include "plan/ranking.h"

#include <gtest/gtest.h>

#include <cmath>

#include "plan/candidates.h"
#include "plan/wishes.h"

namespace fathom::plan {
namespace {

ModelFacts model(std::string_view name, std::string_view precision = "q4_0") {
  auto facts = catalogue_facts(name, precision);
  EXPECT_TRUE(facts);
  return *facts;
}

Hardware accelerator(double gigabytes, double usd_per_hour) {
  Hardware hardware;
  hardware.name = fmt::format("acc-{:.0f}", gigabytes);
  hardware.title = hardware.name;
  hardware.kind = "gpu";
  hardware.memory_bytes = static_cast<int64_t>(gigabytes * 1e9);
  hardware.ceilings = {
      .read_bytes_per_second = 2e12, .int8_ops_per_second = 6e14, .float_ops_per_second = 3e14};
  hardware.devices = 8;
  hardware.device_link = {.bytes_per_second = 3e11, .latency_seconds = 5e-6};
  hardware.machine_link = {.bytes_per_second = 2e10, .latency_seconds = 2e-5};
  hardware.busy_watts = 600;
  hardware.idle_watts = 80;
  hardware.usd_per_hour = usd_per_hour;
  return hardware;
}

Hardware processor() {
  Hardware hardware;
  hardware.name = "cpu";
  hardware.title = "A processor";
  hardware.kind = "cpu";
  hardware.memory_bytes = int64_t{64} << 30;
  hardware.ceilings = {
      .read_bytes_per_second = 5e10, .int8_ops_per_second = 2e12, .float_ops_per_second = 5e11};
  hardware.busy_watts = 150;
  hardware.idle_watts = 40;
  hardware.purchase_usd = 2000;
  hardware.fathom_runs_here = true;
  return hardware;
}

Question question(double rate) {
  Question question;
  question.workload.requests_per_second = rate;
  question.workload.prompt_tokens = *loadtest::Lengths::parse("uniform:100-300", "");
  question.workload.output_tokens = *loadtest::Lengths::parse("100", "");
  question.simulation.requests = 300;
  question.models = {model("r1-distill-qwen-1.5b"), model("v2-lite"), model("v3", "fp8")};
  question.hardware = {accelerator(80, 2.5), processor()};
  return question;
}

TEST(Ranking, PutsTheCheapestFirstAndSimulatesIt) {
  const auto ranking = rank(question(1));
  ASSERT_TRUE(ranking) << ranking.error().message;
  ASSERT_FALSE(ranking->deployments.empty());
  double before = 0;
  for (const Ranked& ranked : ranking->deployments) {
    EXPECT_TRUE(ranked.cost_known);
    EXPECT_TRUE(ranked.prediction.keeps_up);
    if (ranked.prediction.simulated) {
      EXPECT_GE(ranked.prediction.usd_per_million_requests, before);
      before = ranked.prediction.usd_per_million_requests;
      EXPECT_NEAR(ranked.prediction.requests_per_second, 1, 0.2);
    }
  }
  EXPECT_TRUE(ranking->deployments.front().prediction.simulated);
  EXPECT_GT(ranking->candidates, 3);
}

TEST(Ranking, PutsTheFastestFirstWhereLatencyIsAskedFor) {
  Question asked = question(0.1);
  asked.by = RankBy::kLatency;
  const auto ranking = rank(asked);
  ASSERT_TRUE(ranking);
  EXPECT_EQ(ranking->deployments.front().deployment.hardware.name, "acc-80");
  const auto seconds = [](const Ranked& ranked) {
    return ranked.prediction.ttft_seconds.p90 + 100 * ranked.prediction.itl_seconds.p90;
  };
  for (const Ranked& ranked : ranking->deployments) {
    if (ranked.prediction.simulated) {
      EXPECT_GE(seconds(ranked), 0.999 * seconds(ranking->deployments.front()));
    }
  }
}

TEST(Ranking, DividesAModelThatIsTooLargeForADevice) {
  Question asked = question(0.5);
  asked.models = {model("v3", "fp8")};
  asked.hardware = {accelerator(80, 2.5)};
  const auto ranking = rank(asked);
  ASSERT_TRUE(ranking);
  ASSERT_EQ(ranking->deployments.size(), 1U);
  // 671 GB of FP8.
  EXPECT_GE(ranking->deployments[0].deployment.devices(), 9);
  EXPECT_LE(ranking->deployments[0].prediction.memory.total(), 80e9);
}

TEST(Ranking, AddsCopiesUntilTheLoadIsBorne) {
  Question few = question(1);
  few.models = {model("r1-distill-qwen-1.5b")};
  few.hardware = {processor()};
  Question many = few;
  many.workload.requests_per_second = 20;
  const auto one = rank(few);
  const auto more = rank(many);
  ASSERT_TRUE(one && more);
  ASSERT_FALSE(one->deployments.empty());
  ASSERT_FALSE(more->deployments.empty());
  EXPECT_GT(more->deployments[0].deployment.replicas, 2 * one->deployments[0].deployment.replicas);
}

TEST(Ranking, SaysThatThereIsNoRoomAndHowMuchIsMissing) {
  Question asked = question(0.1);
  asked.models = {model("v3", "fp8")};
  asked.hardware = {processor()};
  const auto ranking = rank(asked);
  ASSERT_TRUE(ranking);
  EXPECT_TRUE(ranking->deployments.empty());
  ASSERT_EQ(ranking->ruled_out.size(), 1U);
  EXPECT_EQ(ranking->ruled_out[0].constraint, "memory");
  EXPECT_NE(ranking->ruled_out[0].reason.find("too little"), std::string::npos);
  EXPECT_GT(ranking->ruled_out[0].excess, 5);
}

TEST(Ranking, NamesTheWishThatBinds) {
  const auto why = [](const Question& asked) -> std::string {
    const auto ranking = rank(asked);
    EXPECT_TRUE(ranking);
    if (!ranking || !ranking->deployments.empty() || ranking->ruled_out.empty()) return "";
    return ranking->ruled_out.front().constraint;
  };
  Question asked = question(0.1);
  asked.models = {model("v2-lite")};
  asked.hardware = {processor()};
  asked.wishes.ttft_ms = 1;
  EXPECT_EQ(why(asked), "ttft");
  asked.wishes = {};
  asked.wishes.itl_ms = 1;
  EXPECT_EQ(why(asked), "itl");
  asked.wishes = {};
  asked.wishes.usd_per_hour = 0.0001;
  EXPECT_EQ(why(asked), "budget");
  asked.wishes = {};
  asked.wishes.least_quality = 99.0;
  EXPECT_EQ(why(asked), "quality");
  asked.wishes = {};
  asked.wishes.modality = "image";
  EXPECT_EQ(why(asked), "modality");
  asked.wishes = {};
  asked.wishes.context = 10'000'000;
  EXPECT_EQ(why(asked), "context");
  asked.wishes = {};
  asked.workload.requests_per_second = 1e6;
  EXPECT_EQ(why(asked), "load");
  asked = question(0.1);
  asked.wishes.on_premises = true;
  asked.hardware = {accelerator(80, 2.5)};
  asked.hardware[0].on_premises = false;
  EXPECT_EQ(why(asked), "on premises");
}

TEST(Ranking, PrintsTheCommandWhereThisProgramRuns) {
  Question asked = question(0.1);
  asked.models = {model("r1-distill-qwen-1.5b")};
  const auto ranking = rank(asked);
  ASSERT_TRUE(ranking);
  for (const Ranked& ranked : ranking->deployments) {
    if (ranked.deployment.hardware.name == "cpu") {
      EXPECT_EQ(
          ranked.command.find("fathom serve -m r1-distill-qwen-1.5b-q4_0.gguf --context 4096"), 0U)
          << ranked.command;
      EXPECT_GT(ranked.kv_memory_bytes, 0);
    } else {
      EXPECT_EQ(ranked.command, "");
    }
  }
}

TEST(Ranking, RefusesWhatMakesNoSense) {
  Question asked = question(0.1);
  asked.models.clear();
  EXPECT_FALSE(rank(asked));
  asked = question(-1);
  EXPECT_FALSE(rank(asked));
  asked = question(1);
  asked.wishes.context = 64;
  const auto tight = rank(asked);
  ASSERT_FALSE(tight);
  EXPECT_NE(tight.error().message.find("--context"), std::string::npos);
}

TEST(Wishes, InterpolateBetweenKnownPercentiles) {
  const Percentiles percentiles{.p50 = 1, .p90 = 2, .p99 = 3};
  EXPECT_DOUBLE_EQ(at_percentile(percentiles, 50), 1);
  EXPECT_DOUBLE_EQ(at_percentile(percentiles, 90), 2);
  EXPECT_DOUBLE_EQ(at_percentile(percentiles, 99), 3);
  EXPECT_GT(at_percentile(percentiles, 95), 2);
  EXPECT_LT(at_percentile(percentiles, 95), 3);
}

TEST(Ranking, TakesFewDevicesWhereTheirCostIsNotKnown) {
  Question asked = question(0.5);
  asked.models = {model("v2-lite")};
  asked.hardware = {accelerator(80, 0)};
  asked.simulated = 0;
  const auto ranking = rank(asked);
  ASSERT_TRUE(ranking) << ranking.error().message;
  ASSERT_EQ(ranking->deployments.size(), 1U);
  EXPECT_EQ(ranking->deployments[0].deployment.devices(), 1);
  asked.by = RankBy::kLatency;
  const auto fastest = rank(asked);
  ASSERT_TRUE(fastest) << fastest.error().message;
  EXPECT_GT(fastest->deployments[0].deployment.devices(), 1);
}

TEST(Ranking, SharesExpertsAmongSeveralMachines) {
  Question asked = question(40);
  asked.models = {model("v3", "fp8")};
  asked.hardware = {accelerator(80, 2.5)};
  asked.simulated = 0;
  bool wide = false;
  for (const Deployment& copy : copies_of(asked, asked.models[0], asked.hardware[0])) {
    EXPECT_TRUE(copy.ep == 1 || copy.ep % copy.tp == 0);
    EXPECT_LE(copy.devices(), asked.most_devices);
    wide = wide || copy.ep == 64;
  }
  EXPECT_TRUE(wide);
  asked.hardware[0].machine_link = {};
  for (const Deployment& copy : copies_of(asked, asked.models[0], asked.hardware[0])) {
    EXPECT_LE(copy.ep, 8);
  }
  asked.models = {model("r1-distill-llama-70b", "bf16")};
  for (const Deployment& copy : copies_of(asked, asked.models[0], asked.hardware[0])) {
    EXPECT_EQ(copy.ep, 1);
  }
}

TEST(Placement, NamesGroupsThatShareExperts) {
  Deployment deployment{.model = model("v3", "fp8"), .hardware = accelerator(80, 2.5)};
  deployment.tp = 4;
  deployment.ep = 32;
  deployment.replicas = 2;
  EXPECT_EQ(placement_text(deployment), "64 x acc-80 (tp 4, ep 32, dp 8, replicas 2)");
}

}  // namespace
}  // namespace fathom::plan
