#include "plan/deployment.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/step_cost.h"
#include "plan/simulation.h"

namespace fathom::plan {
namespace {

ModelFacts facts(const char* name, const char* precision) {
  auto found = catalogue_facts(name, precision);
  EXPECT_TRUE(found.has_value()) << found.error().message;
  return *std::move(found);
}

// An accelerator with round numbers and nothing in the way.
Hardware ideal() {
  Hardware hardware;
  hardware.name = "ideal";
  hardware.kind = "gpu";
  hardware.memory_bytes = 80'000'000'000;
  hardware.ceilings = {
      .read_bytes_per_second = 1e12, .int8_ops_per_second = 2e14, .float_ops_per_second = 1e14};
  hardware.efficiency = {.memory = 1, .compute = 1};
  hardware.devices = 8;
  hardware.device_link = {.bytes_per_second = 1e11, .latency_seconds = 1e-6};
  hardware.idle_watts = 100;
  hardware.busy_watts = 300;
  return hardware;
}

Deployment deployment(const char* name, const char* precision) {
  Deployment made;
  made.model = facts(name, precision);
  made.hardware = ideal();
  return made;
}

TEST(Deployment, SaysWhatAStepIsBoundByInWords) {
  EXPECT_EQ(name(Bound::kMemory), "memory bandwidth");
  EXPECT_EQ(name(Bound::kOverhead), "overhead");
}

TEST(Memory, OfADeviceIsItsShareOfTheModelAndOfTheCache) {
  Deployment one = deployment("r1-distill-llama-70b", "bf16");
  const MemoryUse whole = memory_of(one, 1000);
  EXPECT_NEAR(whole.weights, 2.0 * 70.55e9, 0.01 * whole.weights);
  // Keys and values of 8 heads of 128 in 80 layers, 2 bytes each.
  EXPECT_EQ(whole.cache, 1000.0 * 2 * 8 * 128 * 80 * 2);
  one.tp = 8;
  const MemoryUse eighth = memory_of(one, 1000);
  EXPECT_NEAR(eighth.weights, whole.weights / 8, 1);
  EXPECT_NEAR(eighth.cache, whole.cache / 8, 1);
  one.tp = 16;  // there are 8 heads to share
  EXPECT_NEAR(memory_of(one, 1000).cache, whole.cache / 8, 1);
}

TEST(Memory, OfAPredictionHasTheLogitsOfAsManyAnswersAsTheLoadMakes) {
  const Deployment d = deployment("llm-7b", "bf16");
  Workload workload;
  workload.prompt_tokens = *loadtest::Lengths::parse("32", "tokens");
  workload.output_tokens = *loadtest::Lengths::parse("64", "tokens");
  const auto activations = [&](int64_t sessions) {
    workload.sessions = sessions;
    const auto prediction = simulate(d, workload, {.requests = 4 * sessions});
    EXPECT_TRUE(prediction.has_value());
    return prediction->memory.activations;
  };
  const double few = activations(2);
  // The vocabulary has 102,400 tokens of four bytes each.
  EXPECT_EQ(activations(50) - few, 48 * 102'400.0 * 4);
  EXPECT_EQ(activations(1000), memory_of(d, 0).activations);  // no more than run together
}

TEST(Memory, OfALatentCacheIsNotSharedByTensorParallelDevices) {
  Deployment v2 = deployment("v2-lite", "bf16");
  const double whole = memory_of(v2, 1000).cache;
  EXPECT_EQ(whole, 1000.0 * (512 + 64) * 27 * 2);
  v2.tp = 4;
  EXPECT_EQ(memory_of(v2, 1000).cache, whole);
  v2.pp = 3;
  EXPECT_NEAR(memory_of(v2, 1000).cache, whole / 3, 1);
}

TEST(Memory, OfExpertsIsSharedByMoreDevicesThanAttention) {
  Deployment v3 = deployment("v3", "fp8");
  const double all = v3.model.experts.bytes;
  const double rest = memory_of(v3, 0).weights - all;
  v3.ep = 64;
  EXPECT_EQ(v3.dp(), 64);
  EXPECT_EQ(v3.devices(), 64);
  // Four of 256 experts in each of 58 layers: three matrices of 7168 x 2048, a byte an element.
  const double four = 4.0 * 58 * 3 * 7168 * 2048;
  EXPECT_NEAR(memory_of(v3, 0).weights, rest + four, 0.002 * four);
  // Each has the cache of its own sequences, and all the rest of the model.
  EXPECT_EQ(memory_of(v3, 1000).cache, 1000.0 * (512 + 64) * 61 * 2);
  v3.tp = 4;
  EXPECT_EQ(v3.dp(), 16);
  EXPECT_EQ(v3.devices(), 64);
  EXPECT_NEAR(memory_of(v3, 0).weights, rest / 4 + four, 0.002 * four);
  v3.ep = 48;  // 256 are no multiple: some have six
  EXPECT_NEAR(memory_of(v3, 0).weights, rest / 4 + 1.5 * four, 0.002 * four);
}

TEST(Memory, OfExpertsThatTheHostKeepsIsFree) {
  Deployment v2 = deployment("v2-lite", "q8_0");
  const MemoryUse before = memory_of(v2, 0);
  v2.offloaded = 0.5;
  const MemoryUse after = memory_of(v2, 0);
  EXPECT_NEAR(before.weights - after.weights, v2.model.experts.bytes / 2, 1);
  EXPECT_NEAR(after.host, v2.model.experts.bytes / 2, 1);
}

TEST(Memory, ThatLacksIsNegative) {
  Deployment v3 = deployment("v3", "fp8");
  EXPECT_LT(cache_tokens_that_fit(v3), -500e9);
  v3.tp = 16;
  EXPECT_GT(cache_tokens_that_fit(v3), 100'000);
}

TEST(StepTime, OfOneSequenceIsTheTimeToReadTheWeights) {
  const Deployment d = deployment("coder-6.7b", "bf16");
  const StepTime time = StepTimer(d).time({.decode_rows = 1, .logits = 1});
  const double read = d.model.dense.bytes + d.model.head.bytes;
  EXPECT_NEAR(time.seconds, read / 1e12, 0.001 * time.seconds);
  EXPECT_EQ(time.bound, Bound::kMemory);
}

TEST(StepTime, OfAPromptIsArithmetic) {
  const Deployment d = deployment("coder-6.7b", "bf16");
  const StepTime time = StepTimer(d).time({.prompt_rows = 2048, .logits = 1});
  // Two operations a weight and row, and for each pair of rows 2 * 2 * 4096 in each of 32 layers.
  const double ops =
      2 * 2048 * d.model.dense.float_elements + 2.0 * 4096 * 32256 + 2048.0 * 1024 * 4 * 4096 * 32;
  EXPECT_NEAR(time.seconds, ops / 1e14, 0.005 * time.seconds);
  EXPECT_EQ(time.bound, Bound::kCompute);
}

TEST(StepTime, OfSparseModelsReadsTheExpertsThatAreChosen) {
  const Deployment d = deployment("v2-lite", "bf16");
  const StepTimer timer(d);
  const double one = timer.time({.decode_rows = 1, .logits = 1}).memory;
  const double eight = timer.time({.decode_rows = 8, .logits = 8}).memory;
  const double more = expected_distinct_experts(64, 6, 8) - 6;
  EXPECT_NEAR(eight - one, more / 64 * d.model.experts.bytes / 1e12, 0.01 * eight);
}

TEST(StepTime, OfParallelDevicesIsLessButForTheirLinks) {
  Deployment d = deployment("r1-distill-llama-70b", "bf16");
  const double alone = StepTimer(d).time({.decode_rows = 1, .logits = 1}).seconds;
  d.tp = 4;
  const StepTime shared = StepTimer(d).time({.decode_rows = 1, .logits = 1});
  // 160 all-reduces of 8192 halves: 6 steps of 1 us, and 1.5 times 16 KiB through each link.
  EXPECT_NEAR(shared.link, 160 * (6e-6 + 1.5 * 16384 / 1e11), 1e-9);
  EXPECT_NEAR(shared.seconds, alone / 4 + shared.link, 1e-6);
}

TEST(StepTime, OfAPipelineReadsTheWeightsOnceForEachPartOfTheBatch) {
  Deployment d = deployment("coder-6.7b", "bf16");
  const StepTimer alone(d);
  d.pp = 2;
  const StepTime round = StepTimer(d).time({.decode_rows = 64, .logits = 64});
  const StepTime half = alone.time({.decode_rows = 32, .logits = 32});
  EXPECT_NEAR(round.memory, half.memory, 1e-9);
  EXPECT_GT(round.link, 0);
}

TEST(StepTime, OfExpertsOnManyDevicesWaitsForTheOneWithTheMost) {
  Deployment d = deployment("v3", "fp8");
  d.hardware.machine_link = {.bytes_per_second = 5e10, .latency_seconds = 1e-5};
  d.ep = 16;
  const StepTime time = StepTimer(d).time({.decode_rows = 128, .logits = 128});
  // 16 x 128 rows choose 8 of 256 experts: 1,024 choices on a device on average, with a deviation
  // of sqrt(1024 x 15 / 16), and 1.766 deviations more on the one of 16 with the most. Half of them
  // come from the other machine of eight, as 7168 halves each, and all go back; in 58 layers.
  const double most = 1024 + 1.766 * std::sqrt(1024 * 15.0 / 16);
  EXPECT_NEAR(time.link, 2 * 58 * (1e-5 + most / 2 * 7168 * 2 / 5e10), 0.002 * time.link);
  // By then every expert is read, and nothing of attention is shared.
  const double read = d.model.dense.bytes + d.model.head.bytes + d.model.experts.bytes / 16 +
                      128.0 * (512 + 64) * 61 * 2;
  EXPECT_NEAR(time.memory, read / 1e12, 0.002 * time.memory);
  // One row of each: 128 choices fall on 256 experts. The most that one device has to read of its
  // 16 is more than their share.
  const StepTime one = StepTimer(d).time({.decode_rows = 1, .logits = 1});
  const double share = expected_distinct_experts(256, 8, 16) / 256 * d.model.experts.bytes / 16;
  const double others = d.model.dense.bytes + d.model.head.bytes;
  EXPECT_GT(one.memory, (others + 1.2 * share) / 1e12);
  EXPECT_LT(one.memory, (others + 1.8 * share) / 1e12);
}

TEST(StepTime, OfAnAllToAllIsNearWhatWasMeasured) {
  Deployment d = deployment("v3", "fp8");
  // H800 with a network card of 400 Gb/s each.
  d.hardware.device_link = {.bytes_per_second = 160e9, .latency_seconds = 5e-6};
  d.hardware.machine_link = {.bytes_per_second = 50e9, .latency_seconds = 1e-5};
  // DeepEP's table of its low-latency kernels: combining 128 tokens of each device in BF16.
  for (const auto& [devices, measured] :
       {std::pair{16, 195e-6}, {32, 273e-6}, {64, 314e-6}, {128, 369e-6}, {256, 360e-6}}) {
    d.ep = devices;
    const double both = StepTimer(d).time({.decode_rows = 128, .logits = 128}).link / 58;
    EXPECT_NEAR(both / 2, measured, 0.2 * measured) << devices;
  }
}

TEST(StepTime, OfExpertsInPlaceOfPartsOfThemNeedsOneAllReduceLess) {
  Deployment d = deployment("v2-lite", "bf16");
  d.tp = 4;
  d.ep = 4;
  const StepTime time = StepTimer(d).time({.decode_rows = 64, .logits = 64});
  const double most =
      expected_most_binomial(64 * 6, 0.25, 4);  // of 384 choices, on one device of four
  const double bytes = 64 * 2048 * 2;
  const double all_reduce = 6e-6 + 1.5 * bytes / 1e11;
  const double all_to_all = 1e-6 + 0.75 * most * 2048 * 2 / 1e11;
  EXPECT_NEAR(time.link, 28 * all_reduce + 52 * all_to_all, 0.001 * time.link);
}

TEST(StepTime, OfOffloadedExpertsIsBoundByTheHostsLink) {
  Deployment d = deployment("v2-lite", "bf16");
  d.hardware.host_link = {.bytes_per_second = 3e10, .latency_seconds = 1e-5};
  d.offloaded = 1;
  const StepTime time = StepTimer(d).time({.decode_rows = 1, .logits = 1});
  EXPECT_NEAR(time.host, 6.0 / 64 * d.model.experts.bytes / 3e10 + 27e-5, 1e-6);
  EXPECT_EQ(time.bound, Bound::kHost);
}

TEST(StepTime, OfPromptsBesideAnswersIsThatOfTheirRows) {
  Deployment d = deployment("smollm2-135m", "q8_0");
  StepCosts costs;
  costs.seconds[Unit::kLayer] = 1e-3;
  costs.seconds[Unit::kRowLayer] = 1e-4;
  costs.serve_step_seconds = 2e-3;
  d.hardware.costs = std::make_shared<const StepCosts>(costs);
  const StepTimer timer(d);
  const double six = 30e-3 + 6 * 30e-4 + 2e-3;
  EXPECT_NEAR(timer.time({.decode_rows = 6}).seconds, six, 1e-9);
  EXPECT_NEAR(timer.time({.prompt_rows = 6}).seconds, six, 1e-9);
  EXPECT_NEAR(timer.time({.decode_rows = 2, .prompt_rows = 4}).seconds, six, 1e-9);
}

TEST(StepTime, FollowsFittedCostsWhereThereAreSome) {
  Deployment d = deployment("smollm2-135m", "q8_0");
  StepCosts costs;
  costs.seconds[Unit::kWeightByte] = 1e-9;
  costs.seconds[Unit::kLayer] = 1e-6;
  costs.serve_step_seconds = 1e-3;
  d.hardware.costs = std::make_shared<const StepCosts>(costs);
  const StepTime time = StepTimer(d).time({.decode_rows = 4, .logits = 4});
  EXPECT_NEAR(time.model, (d.model.dense.bytes + d.model.head.bytes) * 1e-9 + 30e-6, 1e-9);
  EXPECT_NEAR(time.seconds, time.model + 1e-3, 1e-9);
}

TEST(StepTime, DrawsPowerBetweenIdleAndBusy) {
  Deployment d = deployment("coder-6.7b", "bf16");
  d.tp = 2;
  const StepTimer timer(d);
  const double watts = timer.watts(timer.time({.decode_rows = 1, .logits = 1}));
  EXPECT_GT(watts, 2 * 100);
  EXPECT_LT(watts, 2 * 300);
}

TEST(UnitCounts, CountRowsBetweenKnots) {
  const ModelFacts model = facts("smollm2-135m", "q8_0");
  const UnitCounter counter(model, CacheType::kF16);
  const UnitCounts units = counter.count({.prompt_rows = 6, .logits = 1}).units;
  const double codes = model.dense.int8_elements;
  EXPECT_EQ(units[Unit::kCode], codes + model.head.int8_elements);
  EXPECT_EQ(units[Unit::kCodeRow], codes);          // from 1 to 2 rows
  EXPECT_EQ(units[Unit::kCodeRow + 1], 2 * codes);  // to 4
  EXPECT_EQ(units[Unit::kCodeRow + 2], 2 * codes);  // to 6
  EXPECT_EQ(units[Unit::kCodeRow + 3], 0);
  EXPECT_EQ(units[Unit::kRowLayer], 6 * 30);
  EXPECT_EQ(units[Unit::kMinimumRow], 0);
}

TEST(UnitCounts, CountEachRowOfBlocksWithAMinimum) {
  ModelFacts model = facts("v2-lite", "q4_0");
  model.head.minimum_elements = 1000;
  model.experts.minimum_elements = 64e6;
  const UnitCounter counter(model, CacheType::kF16);
  // Each row is multiplied with 6 of a layer's 64 experts, whichever they are.
  EXPECT_NEAR(counter.count({.decode_rows = 5, .logits = 3}).units[Unit::kMinimumRow],
              5 * 6e6 + 3000, 1);
}

}  // namespace
}  // namespace fathom::plan
