#include "plan/simulation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "plan/queueing.h"

namespace fathom::plan {
namespace {

loadtest::Lengths lengths(std::string_view text) {
  auto parsed = loadtest::Lengths::parse(text, "--test");
  EXPECT_TRUE(parsed);
  return *parsed;
}

Workload open_load(double rate, std::string_view prompt, std::string_view output) {
  Workload workload;
  workload.requests_per_second = rate;
  workload.prompt_tokens = lengths(prompt);
  workload.output_tokens = lengths(output);
  workload.seed = 7;
  return workload;
}

Workload sessions(int64_t count, std::string_view prompt, std::string_view output) {
  Workload workload = open_load(0, prompt, output);
  workload.sessions = count;
  return workload;
}

constexpr ServerModel kServer{.cache_tokens = 1 << 20};

// A machine whose steps read weights in 20 ms, and take 1 ms for each row more, of prompts a
// quarter.
constexpr auto like_a_machine = [](const StepWork& work) {
  return 0.02 + 0.001 * work.decode_rows + 0.00025 * work.prompt_rows +
         1e-9 * work.decode_rows * work.decode_context;
};

// One at a time, each in a step of 10 ms: a queue with Poisson arrivals and constant service,
// whose mean waiting time is rho S / (2 (1 - rho)) (Pollaczek and Khinchine).
TEST(Simulation, OneAtATimeWaitsAsLongAsThePollaczekKhinchineFormulaSays) {
  constexpr double kService = 0.01;
  ServerModel server = kServer;
  server.max_running = 1;
  server.max_waiting = 1'000'000;
  for (const double rho : {0.3, 0.6, 0.8}) {
    const Workload workload = open_load(rho / kService, "4", "1");
    const auto run =
        simulate(server, workload, [](const StepWork&) { return kService; }, {.requests = 100'000});
    ASSERT_TRUE(run);
    const double expected = rho * kService / (2 * (1 - rho));
    EXPECT_NEAR(run->ttft_seconds.mean - kService, expected, 0.05 * expected) << rho;
    EXPECT_NEAR(run->busy_seconds / run->seconds, rho, 0.02 * rho);
    EXPECT_FALSE(run->queue_grows);
    EXPECT_EQ(run->refused, 0);
  }
}

// Whoever is there is served in every step: latency is that of an empty server, but for the rest of
// the step in which it comes, and so many are there as come in that time (Little 1961).
TEST(Simulation, AnswersThatDoNotSlowEachOtherAreInTheSystemAsLittlesLawSays) {
  constexpr double kStep = 0.01;
  const Workload workload = open_load(20, "4", "uniform:20-80");
  ServerModel server = kServer;
  server.pace.max_stall = 1e6;
  const auto run =
      simulate(server, workload, [](const StepWork&) { return kStep; }, {.requests = 20'000});
  ASSERT_TRUE(run);
  EXPECT_NEAR(run->itl_seconds.mean, kStep, 1e-9);
  EXPECT_NEAR(run->itl_seconds.p99, kStep, 1e-9);
  EXPECT_NEAR(run->mean_in_system, run->requests_per_second * run->mean_latency_seconds,
              0.02 * run->mean_in_system);
  EXPECT_NEAR(run->mean_in_system, 20 * (50.5 * kStep), 0.03 * 20 * 0.5);
  EXPECT_NEAR(run->output_tokens_per_second, 20 * 50, 0.03 * 20 * 50);
}

TEST(Simulation, SessionsAreAnsweredAtTheirNumberOverTheirLatency) {
  for (const int64_t count : {1, 8, 64}) {
    const auto run = simulate(kServer, sessions(count, "uniform:50-150", "40"), like_a_machine);
    ASSERT_TRUE(run);
    EXPECT_NEAR(run->requests_per_second * run->mean_latency_seconds, static_cast<double>(count),
                0.05 * static_cast<double>(count));
    EXPECT_NEAR(run->busy_seconds, run->seconds, 1e-6);
  }
}

TEST(Simulation, ALoneSessionTakesWhatItsStepsTake) {
  const auto run = simulate(kServer, sessions(1, "100", "11"), like_a_machine);
  ASSERT_TRUE(run);
  EXPECT_NEAR(run->ttft_seconds.p50, 0.02 + 100 * 0.00025, 1e-9);
  EXPECT_NEAR(run->itl_seconds.p50, 0.021, 1e-5);
  EXPECT_EQ(run->preemptions, 0U);
}

TEST(Simulation, EqualSeedsGiveEqualRuns) {
  const Workload workload = open_load(5, "lognormal:80,0.5", "lognormal:40,0.5");
  const auto first = simulate(kServer, workload, like_a_machine);
  const auto again = simulate(kServer, workload, like_a_machine);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->seconds, again->seconds);
  EXPECT_EQ(first->ttft_seconds.p99, again->ttft_seconds.p99);
}

TEST(Simulation, ALoadThatIsTooMuchMakesTheQueueGrowOrIsRefused) {
  // A token takes 1 ms at best.
  const auto run = simulate(kServer, open_load(15, "10", "100"), like_a_machine);
  ASSERT_TRUE(run);
  EXPECT_TRUE(run->queue_grows);
  ServerModel small = kServer;
  small.max_running = 2;
  small.max_waiting = 4;
  const auto refusing = simulate(small, open_load(15, "10", "100"), like_a_machine);
  ASSERT_TRUE(refusing);
  EXPECT_GT(refusing->refused, 0);
}

// Each row chooses 6 of 64 experts, which are nine tenths of the weights.
TEST(Simulation, APromptBesideOneAnswerOfAMixtureOfExpertsNeedNotWaitForItsEnd) {
  const WeightReads reads{.expert_share = 0.92, .experts = 64, .per_token = 6};
  const auto mixture = [&reads](const StepWork& work) {
    const double rows = work.decode_rows + work.prompt_rows;
    return 0.13 * reads.of(rows) + 0.008 * rows;
  };
  ServerModel server = kServer;
  server.reads = reads;
  // Alone 2.2 s until the first token, and 4 s for the others: most meet somebody.
  const Workload workload = open_load(0.14, "256", "128");
  const auto run = simulate(server, workload, mixture, {.requests = 500});
  ASSERT_TRUE(run);
  EXPECT_LT(run->ttft_seconds.p50, 5 * 2.2);
  // By a row or two in each step, prompts wait for each other's ends.
  server.reads = {};
  const auto careful = simulate(server, workload, mixture, {.requests = 500});
  ASSERT_TRUE(careful);
  EXPECT_LT(run->ttft_seconds.p50, 0.2 * careful->ttft_seconds.p50);
}

TEST(Simulation, ASharedBeginningIsComputedOnce) {
  Workload workload = sessions(4, "32", "8");
  workload.shared_prefix_tokens = 640;
  double rows = 0;
  const auto run = simulate(kServer, workload,
                            [&rows](const StepWork& work) {
                              rows += work.prompt_rows;
                              return like_a_machine(work);
                            },
                            {.requests = 100});
  ASSERT_TRUE(run);
  EXPECT_GE(rows, 640 + 100 * 32);
  EXPECT_LE(rows, 640 + 104 * 33);
}

TEST(Simulation, PromptsThatShareNothingAreComputedWhole) {
  double rows = 0;
  const auto run = simulate(kServer, sessions(1, "64", "8"),
                            [&rows](const StepWork& work) {
                              rows += work.prompt_rows;
                              return like_a_machine(work);
                            },
                            {.requests = 50});
  ASSERT_TRUE(run);
  EXPECT_EQ(rows, 50 * 64);
}

TEST(Simulation, ACacheThatIsTooSmallPreemptsOrWaits) {
  ServerModel server = kServer;
  server.cache_tokens = 1024;
  const auto tight = simulate(server, sessions(32, "100", "100"), like_a_machine);
  const auto roomy = simulate(kServer, sessions(32, "100", "100"), like_a_machine);
  ASSERT_TRUE(tight && roomy);
  EXPECT_LT(tight->mean_batch, roomy->mean_batch / 2);
  EXPECT_EQ(roomy->most_batch, 32);
  EXPECT_LE(tight->most_batch, 1024 / 101);
  EXPECT_LE(tight->cached_tokens_p99, 1024);
  EXPECT_GT(tight->ttft_seconds.p50, 2 * roomy->ttft_seconds.p50);
}

TEST(Simulation, ATraceIsReplayedAsItCame) {
  Workload workload;
  workload.trace = {{.at = 0, .prompt_tokens = 10, .output_tokens = 3},
                    {.at = 5, .prompt_tokens = 20, .output_tokens = 2}};
  const auto run = simulate(kServer, workload, [](const StepWork&) { return 0.5; });
  ASSERT_TRUE(run);
  EXPECT_EQ(run->answered, 2);
  EXPECT_EQ(run->steps, 5U);
  EXPECT_DOUBLE_EQ(run->seconds, 6);
  EXPECT_DOUBLE_EQ(run->busy_seconds, 2.5);
  EXPECT_DOUBLE_EQ(run->ttft_seconds.mean, 0.5);
}

TEST(Simulation, PromptsThatTheContextCannotHoldAreCountedAndNotAnswered) {
  ServerModel server = kServer;
  server.context = 64;
  const auto run = simulate(server, sessions(2, "64", "4"), like_a_machine, {.requests = 10});
  ASSERT_TRUE(run);
  EXPECT_EQ(run->answered, 0);
  EXPECT_EQ(run->too_long, 10);
}

TEST(Simulation, RefusesWhatMakesNoSense) {
  EXPECT_FALSE(simulate(kServer, Workload{}, like_a_machine));
  EXPECT_FALSE(simulate(kServer, open_load(-1, "4", "4"), like_a_machine));
  EXPECT_FALSE(simulate(kServer, open_load(NAN, "4", "4"), like_a_machine));
  Workload both = open_load(1, "4", "4");
  both.sessions = 3;
  EXPECT_FALSE(simulate(kServer, both, like_a_machine));
  EXPECT_FALSE(simulate({.cache_tokens = 32}, open_load(1, "4", "4"), like_a_machine));
  EXPECT_FALSE(simulate(kServer, open_load(1, "4", "4"), like_a_machine, {.warm_up_share = 1.0}));
}

TEST(Simulation, SharesALoadAmongReplicas) {
  EXPECT_DOUBLE_EQ(share_of(open_load(9, "4", "4"), 3).requests_per_second, 3);
  EXPECT_EQ(share_of(sessions(10, "4", "4"), 3).sessions, 4);
  Workload traced;
  traced.trace.resize(7);
  EXPECT_EQ(share_of(traced, 3).trace.size(), 3U);
}

// The formula and the simulation know nothing of each other but the step times.
class Estimate : public testing::TestWithParam<double> {};

TEST_P(Estimate, SaysWhatTheSimulationSaysAtAnOpenLoad) {
  Demand demand = demand_of(open_load(1, "uniform:50-150", "uniform:40-80"));
  const QueueEstimate limit = estimate_queue(kServer, demand, like_a_machine);
  const Workload workload =
      open_load(GetParam() * limit.most_requests_per_second, "uniform:50-150", "uniform:40-80");
  demand = demand_of(workload);
  const QueueEstimate estimate = estimate_queue(kServer, demand, like_a_machine);
  const auto run = simulate(kServer, workload, like_a_machine, {.requests = 6000});
  ASSERT_TRUE(run);
  EXPECT_TRUE(estimate.keeps_up);
  EXPECT_FALSE(run->queue_grows);
  EXPECT_NEAR(estimate.itl_seconds.mean, run->itl_seconds.mean, 0.15 * run->itl_seconds.mean);
  EXPECT_NEAR(estimate.itl_seconds.p90, run->itl_seconds.p90, 0.2 * run->itl_seconds.p90);
  EXPECT_NEAR(estimate.ttft_seconds.p50, run->ttft_seconds.p50, 0.3 * run->ttft_seconds.p50);
  EXPECT_NEAR(estimate.ttft_seconds.p90, run->ttft_seconds.p90, 0.4 * run->ttft_seconds.p90);
  EXPECT_NEAR(estimate.utilisation, run->busy_seconds / run->seconds, 0.06);
}

INSTANTIATE_TEST_SUITE_P(Loads, Estimate, testing::Values(0.05, 0.25, 0.5, 0.75));

TEST(EstimateOfSessions, SaysWhatTheSimulationSays) {
  for (const int64_t count : {1, 4, 16, 48}) {
    const Workload workload = sessions(count, "uniform:50-150", "uniform:40-80");
    const QueueEstimate estimate = estimate_queue(kServer, demand_of(workload), like_a_machine);
    const auto run = simulate(kServer, workload, like_a_machine, {.requests = 4000});
    ASSERT_TRUE(run);
    EXPECT_NEAR(estimate.requests_per_second, run->requests_per_second,
                0.15 * run->requests_per_second)
        << count;
    EXPECT_NEAR(estimate.itl_seconds.mean, run->itl_seconds.mean, 0.15 * run->itl_seconds.mean)
        << count;
    // Where the station of prompts is about to be full, the formula is too careful.
    EXPECT_GT(estimate.ttft_seconds.p50, 0.7 * run->ttft_seconds.p50) << count;
    EXPECT_LT(estimate.ttft_seconds.p50, 1.7 * run->ttft_seconds.p50) << count;
    EXPECT_GT(estimate.ttft_seconds.p90, 0.7 * run->ttft_seconds.p90) << count;
    EXPECT_LT(estimate.ttft_seconds.p90, 1.7 * run->ttft_seconds.p90) << count;
  }
}

TEST(EstimateOfSessions, KnowsThatEqualLengthsWaitAlike) {
  // Prompts take longer than answers, so that all but a few wait in line.
  for (const int64_t count : {8, 32}) {
    const Workload workload = sessions(count, "2000", "16");
    const QueueEstimate estimate = estimate_queue(kServer, demand_of(workload), like_a_machine);
    const auto run = simulate(kServer, workload, like_a_machine, {.requests = 1000});
    ASSERT_TRUE(run);
    EXPECT_NEAR(estimate.ttft_seconds.p50, run->ttft_seconds.p50, 0.1 * run->ttft_seconds.p50);
    EXPECT_NEAR(estimate.ttft_seconds.p90, run->ttft_seconds.p90, 0.1 * run->ttft_seconds.p90);
  }
}

TEST(EstimateOfALimit, SaysWhenALoadIsTooMuch) {
  const Demand demand = demand_of(open_load(15, "10", "100"));
  const QueueEstimate estimate = estimate_queue(kServer, demand, like_a_machine);
  EXPECT_FALSE(estimate.keeps_up);
  EXPECT_LT(estimate.most_requests_per_second, 10);
}

}  // namespace
}  // namespace fathom::plan
