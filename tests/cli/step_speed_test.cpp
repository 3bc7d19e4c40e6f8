#include "cli/step_speed.h"

#include <gtest/gtest.h>

#include <memory>

#include "cli/tiny_model.h"
#include "plan/simulation.h"

namespace fathom::test {
namespace {

plan::Deployment tiny_deployment() {
  plan::Deployment deployment;
  const auto checkpoint = Checkpoint::open(golden_model("llama_mha"));
  EXPECT_TRUE(checkpoint.has_value());
  auto facts = plan::facts_of(**checkpoint);
  EXPECT_TRUE(facts.has_value());
  deployment.model = *std::move(facts);
  deployment.hardware.name = "this";
  deployment.hardware.kind = "cpu";
  deployment.hardware.memory_bytes = int64_t{1} << 34;
  plan::StepCosts costs;
  costs.seconds[plan::Unit::kStep] = 0.01;
  costs.seconds[plan::Unit::kRowWidth] = 1e-6;
  costs.serve_step_seconds = 0.001;
  costs.serve_token_seconds = 1e-4;
  costs.serve_request_seconds = 0.005;
  deployment.hardware.costs = std::make_shared<const plan::StepCosts>(costs);
  return deployment;
}

constexpr ServedStep kDecode{.decode_rows = 4, .decode_context = 400, .logits = 4};
constexpr ServedStep kMixed{
    .decode_rows = 4, .decode_context = 400, .prompt_rows = 64, .prompt_context = 0, .logits = 5};

double predicted_seconds(const plan::Deployment& deployment, const ServedStep& step) {
  return plan::StepTimer(deployment).time(cli::work_of(step)).model;
}

TEST(WorkOf, TakesTheMeanContextOfSequences) {
  const plan::StepWork work = cli::work_of(kMixed);
  EXPECT_EQ(work.decode_rows, 4);
  EXPECT_EQ(work.decode_context, 100);
  EXPECT_EQ(work.prompt_rows, 64);
  EXPECT_EQ(work.prompt_context, 0);
  EXPECT_EQ(work.logits, 5);
  EXPECT_EQ(cli::work_of({.prompt_rows = 2, .prompt_context = 20}).decode_context, 0);
}

TEST(StepSpeed, IsWhatStepsTookOverWhatTheyWerePredictedToTake) {
  const plan::Deployment deployment = tiny_deployment();
  cli::StepSpeedObserver observer(deployment);
  EXPECT_EQ(observer.take().factor(), 1);
  ServedStep step = kDecode;
  step.model_seconds = 2 * predicted_seconds(deployment, kDecode);
  observer.on_step(step);
  step = kMixed;
  step.model_seconds = 2 * predicted_seconds(deployment, kMixed);
  observer.on_step(step);
  cli::StepSpeed speed = observer.take();
  EXPECT_EQ(speed.steps, 2);
  EXPECT_NEAR(speed.factor(), 2, 1e-9);
  EXPECT_EQ(observer.take().steps, 0);
  const cli::StepSpeed others{.steps = 1, .predicted_seconds = 1, .measured_seconds = 1};
  speed += others;
  EXPECT_EQ(speed.steps, 3);
  EXPECT_LT(speed.factor(), 2);
}

TEST(AtSpeed, TakesAllTimesInProportion) {
  const plan::Deployment deployment = tiny_deployment();
  plan::Workload load;
  load.trace = {{.at = 0, .prompt_tokens = 30, .output_tokens = 20},
                {.at = 0, .prompt_tokens = 50, .output_tokens = 10}};
  const auto now = plan::simulate(deployment, load, {.warm_up_share = 0});
  const auto slower = plan::simulate(cli::at_speed(deployment, 1.25), load, {.warm_up_share = 0});
  ASSERT_TRUE(now.has_value() && slower.has_value());
  EXPECT_GT(now->ttft_seconds.p50, 0.01);
  EXPECT_NEAR(slower->ttft_seconds.p50, 1.25 * now->ttft_seconds.p50, 1e-9);
  EXPECT_NEAR(slower->itl_seconds.p90, 1.25 * now->itl_seconds.p90, 1e-9);
}

}  // namespace
}  // namespace fathom::test
