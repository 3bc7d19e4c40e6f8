#include "plan/fit.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "base/json.h"
#include "plan/this_machine.h"
#include "temporary_directory.h"

namespace fathom::plan {
namespace {

const Ceilings kCeilings{
    .read_bytes_per_second = 2e10, .int8_ops_per_second = 5e11, .float_ops_per_second = 1e11};

std::vector<BenchLine> lines() {
  std::vector<BenchLine> all;
  for (const int64_t tokens : {64, 256, 1024, 2048})
    all.push_back({.prefill = true, .tokens = tokens});
  for (const int64_t batch : {1, 2, 4, 8, 16, 32, 64})
    all.push_back({.tokens = 24, .batch = batch});
  for (const int64_t context : {1024, 4096}) all.push_back({.tokens = 24, .context = context});
  return all;
}

TEST(Fit, FindsTheCostsThatMadeTheTimes) {
  StepCosts truth = likely_costs(kCeilings);
  truth.seconds[Unit::kWeightByte] *= 1.7;
  truth.seconds[Unit::kCodeRow + 4] *= 0.6;
  truth.seconds[Unit::kPromptPair] *= 3;
  truth.seconds[Unit::kLatentDecodePair] *= 0.5;
  std::vector<FitSample> samples;
  for (const char* model : {"smollm2-135m", "r1-distill-qwen-1.5b", "coder-6.7b", "v2-lite"}) {
    const auto facts = catalogue_facts(model, "q4_0");
    ASSERT_TRUE(facts.has_value());
    const UnitCounter counter(*facts, CacheType::kF16);
    for (const BenchLine& line : lines()) {
      const UnitCounts units = units_of(line, counter, 512);
      samples.push_back({.units = units, .seconds = truth.seconds_of(units)});
    }
  }
  const auto fitted = fit_costs(samples, likely_costs(kCeilings));
  ASSERT_TRUE(fitted.has_value());
  for (const FitSample& sample : samples) {
    EXPECT_NEAR(fitted->seconds_of(sample.units), sample.seconds, 0.02 * sample.seconds);
  }
  // One outlier, such as another program makes, moves the others little.
  samples[5].seconds *= 3;
  const auto robust = fit_costs(samples, likely_costs(kCeilings));
  ASSERT_TRUE(robust.has_value());
  EXPECT_NEAR(robust->seconds_of(samples[6].units), samples[6].seconds, 0.08 * samples[6].seconds);
}

// Only one of the models has blocks with a minimum, and it is the narrowest, too.
TEST(Fit, TellsMinimaFromRowsOfNarrowModels) {
  StepCosts truth = likely_costs(kCeilings);
  truth.seconds[Unit::kMinimumRow] *= 1.5;
  truth.seconds[Unit::kRowLayer] *= 2;
  std::vector<FitSample> samples;
  std::vector<FitSample> wide;  // of a large model with minima, which is not fitted to
  for (const char* model : {"smollm2-135m", "r1-distill-qwen-1.5b", "v2-lite", "coder-6.7b"}) {
    auto facts = catalogue_facts(model, "q4_0");
    ASSERT_TRUE(facts.has_value());
    const bool fitted = facts->name != "coder-6.7b";
    if (facts->name == "smollm2-135m" || !fitted) {
      facts->dense.minimum_elements = facts->dense.int8_elements;
    }
    const UnitCounter counter(*facts, CacheType::kF16);
    for (const BenchLine& line : lines()) {
      const UnitCounts units = units_of(line, counter, 512);
      (fitted ? samples : wide).push_back({.units = units, .seconds = truth.seconds_of(units)});
    }
  }
  const auto fitted = fit_costs(samples, likely_costs(kCeilings));
  ASSERT_TRUE(fitted.has_value());
  for (const FitSample& sample : wide) {
    EXPECT_NEAR(fitted->seconds_of(sample.units), sample.seconds, 0.1 * sample.seconds);
  }
}

TEST(Fit, LeavesCostsThatNothingTellsAtWhatIsLikely) {
  const auto facts = catalogue_facts("coder-6.7b", "q4_0");
  ASSERT_TRUE(facts.has_value());
  const UnitCounter counter(*facts, CacheType::kF16);
  std::vector<FitSample> samples;
  for (const BenchLine& line : lines()) {
    samples.push_back({.units = units_of(line, counter, 512), .seconds = 1});
  }
  const StepCosts likely = likely_costs(kCeilings);
  const auto fitted = fit_costs(samples, likely);
  ASSERT_TRUE(fitted.has_value());
  EXPECT_NEAR(fitted->seconds[Unit::kExpert], likely.seconds[Unit::kExpert], 1e-12);
  for (const double seconds : fitted->seconds) EXPECT_GE(seconds, 0);
}

TEST(Fit, NeedsMoreThanAFewSteps) {
  EXPECT_FALSE(fit_costs({{.seconds = 1}}, likely_costs(kCeilings)).has_value());
}

TEST(BenchRuns, AreReadAsTheyWerePrinted) {
  const auto runs =
      parse_bench_runs(R"([{"machine": {"kernels": "avx2", "threads": 2, "kv_cache": "f16"},
    "model": {"name": "x", "shape": "distill-1.5b"},
    "results": [{"phase": "prefill", "tokens": 600, "batch": 1, "context": 0, "tokens_per_second": 300},
                {"phase": "decode", "tokens": 24, "batch": 8, "context": 1024, "tokens_per_second": 40}]}])",
                       "runs.json");
  ASSERT_TRUE(runs.has_value()) << runs.error().message;
  ASSERT_EQ(runs->size(), 1U);
  const BenchRun& run = runs->front();
  EXPECT_EQ(run.shape, "distill-1.5b");
  ASSERT_EQ(run.lines.size(), 2U);
  EXPECT_EQ(measured_seconds(run.lines[0]), 2);
  EXPECT_EQ(measured_seconds(run.lines[1]), 0.2);
  EXPECT_EQ(run.lines[1].label(), "decode 8 at 1024");
  const auto steps = steps_of(run.lines[0], 512);
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[1].prompt_rows, 88);
  EXPECT_EQ(steps[1].prompt_context, 512);
  EXPECT_EQ(steps[0].logits, 0);
}

TEST(BenchRuns, OfOneModelBecomeOneWithMedians) {
  const auto run = [](const char* shape, double speed) {
    return BenchRun{.shape = shape,
                    .lines = {{.prefill = true, .tokens = 64, .tokens_per_second = speed},
                              {.tokens = 8, .batch = 4, .tokens_per_second = 2 * speed}}};
  };
  std::vector<BenchRun> runs = {run("a", 10), run("b", 5), run("a", 30), run("a", 11)};
  runs[3].lines.push_back({.tokens = 8, .batch = 8, .tokens_per_second = 7});
  const auto merged = merge_runs(runs);
  ASSERT_EQ(merged.size(), 2U);
  EXPECT_EQ(merged[0].shape, "a");
  ASSERT_EQ(merged[0].lines.size(), 3U);
  EXPECT_EQ(merged[0].lines[0].tokens_per_second, 11);
  EXPECT_EQ(merged[0].lines[1].tokens_per_second, 22);
  EXPECT_EQ(merged[0].lines[2].tokens_per_second, 7);
  EXPECT_EQ(merged[1].lines[1].tokens_per_second, 10);
}

TEST(BenchRuns, ThatAreNoneSayWhatIsWrong) {
  for (const char* text :
       {"{", "{}", R"({"machine": {}, "model": {}, "results": []})",
        R"({"machine": {"threads": 2}, "model": {"shape": "x"}, "results": [{"phase": "sleep"}]})",
        R"({"machine": {"threads": 2}, "model": {"shape": "x"}, "results": [{"phase": "decode",
            "tokens": 24, "batch": 1, "context": 0, "tokens_per_second": -3}]})"}) {
    const auto runs = parse_bench_runs(text, "runs.json");
    ASSERT_FALSE(runs.has_value()) << text;
    EXPECT_NE(runs.error().message.find("runs.json"), std::string::npos);
  }
}

TEST(KeptFit, IsOfOneMachine) {
  const test::TemporaryDirectory directory;
  const auto file = directory.path() / "made" / "fit.json";
  ThisMachine machine;
  machine.cpu = "A";
  machine.threads = 2;
  StepCosts costs = likely_costs(kCeilings);
  costs.seconds[Unit::kExpert] = 0.125;
  costs.program_bytes = 5;
  costs.serve_request_seconds = 1.25;
  ASSERT_TRUE(write_fit(file, machine, costs).has_value());
  const auto kept = read_fit(file, machine);
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->costs.seconds, costs.seconds);
  EXPECT_EQ(kept->costs.program_bytes, 5);
  EXPECT_EQ(kept->costs.serve_request_seconds, 1.25);
  machine.threads = 4;
  EXPECT_FALSE(read_fit(file, machine).has_value());
  machine.threads = 2;
  ASSERT_TRUE(read_fit(file, machine).has_value());
  std::ofstream(file) << R"({"seconds": [1]})";
  EXPECT_FALSE(read_fit(file, machine).has_value());
}

// What an older program kept, or somebody changed: never half of it.
TEST(KeptFit, IsTakenWholeOrNotAtAll) {
  const test::TemporaryDirectory directory;
  const auto file = directory.path() / "fit.json";
  const ThisMachine machine;
  ASSERT_TRUE(write_fit(file, machine, likely_costs(kCeilings)).has_value());
  std::ifstream written(file);
  const auto good =
      parse_ordered_json(std::string{std::istreambuf_iterator<char>(written), {}}, "fit.json");
  ASSERT_TRUE(good.has_value());
  const auto taken = [&](const nlohmann::ordered_json& json) {
    std::ofstream(file) << json;
    return read_fit(file, machine).has_value();
  };
  EXPECT_TRUE(taken(*good));
  auto fewer_units = *good;
  fewer_units["seconds"].erase(Unit::kCount - 1);
  EXPECT_FALSE(taken(fewer_units));
  auto negative = *good;
  negative["seconds"][Unit::kLayer] = -1e-6;
  EXPECT_FALSE(taken(negative));
  auto text = *good;
  text["seconds"][Unit::kLayer] = "fast";
  EXPECT_FALSE(taken(text));
  for (const char* key : {"serve_step_seconds", "program_bytes", "seconds", "machine"}) {
    auto without = *good;
    without.erase(key);
    EXPECT_FALSE(taken(without)) << key;
  }
}

}  // namespace
}  // namespace fathom::plan
