#include "cli/plan_fit.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.h"
#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

using nlohmann::json;

plan::ModelFacts tiny_facts() {
  const auto checkpoint = Checkpoint::open(golden_model("llama_mha"));
  EXPECT_TRUE(checkpoint.has_value());
  auto facts = plan::facts_of(**checkpoint);
  EXPECT_TRUE(facts.has_value());
  return *std::move(facts);
}

TEST(UsualBenchLines, FitIntoTheModelsContext) {
  for (const auto& [context, prompts, deep] :
       {std::tuple{int64_t{128}, 1, 0}, {int64_t{1049}, 3, 1}, {int64_t{8192}, 4, 2}}) {
    int prefill = 0;
    int at_depth = 0;
    for (const plan::BenchLine& line : cli::usual_bench_lines(context)) {
      prefill += line.prefill ? 1 : 0;
      at_depth += line.context > 0 ? 1 : 0;
      EXPECT_LE(line.prefill ? line.tokens : line.context + 1 + line.tokens, context);
    }
    EXPECT_EQ(prefill, prompts) << context;
    EXPECT_EQ(at_depth, deep) << context;
  }
}

TEST(PredictedSpeed, IsTokensOverTheSecondsOfTheirUnits) {
  const plan::UnitCounter counter(tiny_facts(), CacheType::kF16);
  plan::StepCosts costs;
  costs.seconds[plan::Unit::kStep] = 0.5;
  // Four steps of one chunk each, and one step of eight sequences.
  EXPECT_DOUBLE_EQ(cli::predicted_speed({.prefill = true, .tokens = 64}, counter, 16, costs),
                   64 / 2.0);
  EXPECT_DOUBLE_EQ(cli::predicted_speed({.tokens = 24, .batch = 8}, counter, 16, costs), 16);
}

// Measurements are kept in a folder of its own.
class PlanFit : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    const auto path = directory_.path() / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  static std::string bench(const char* model) {
    const Finished finished =
        run({"bench", "-m", golden_model(model), "--prefill", "8,40", "--decode", "3", "--batch",
             "1,5", "--context", "0", "--repeat", "1", "--json"});
    EXPECT_EQ(finished.code, 0) << finished.err;
    return finished.out;
  }
  Finished plan(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "plan");
    return run(arguments, {}, {.environment = {"XDG_CACHE_HOME=" + directory_.path().string()}});
  }

  TemporaryDirectory directory_;
};

TEST_F(PlanFit, FindsCostsThatLaterPlansUse) {
  const std::string dense = file("dense.json", bench("llama_mha"));
  const std::string sparse = file("sparse.json", bench("deepseek_moe"));
  const Finished fitted = plan({"--fit", "--fit-file", dense, "--fit-file", sparse});
  ASSERT_EQ(fitted.code, 0) << fitted.err;
  EXPECT_NE(fitted.out.find("this machine: "), std::string::npos) << fitted.out;
  EXPECT_NE(fitted.out.find("decode: median error"), std::string::npos) << fitted.out;
  EXPECT_NE(fitted.out.find("by costs that do not know the model"), std::string::npos);
  EXPECT_NE(fitted.out.find("there is no default model here"), std::string::npos) << fitted.out;
  const auto folder = directory_.path() / "fathom" / "plan";
  EXPECT_TRUE(std::filesystem::is_regular_file(folder / "machine.json"));
  const json kept = json::parse(read_file(folder / "fit.json"));
  EXPECT_EQ(kept.at("seconds").size(), size_t{plan::Unit::kCount});

  const Finished planned = plan({"-m", talking_model(), "--hardware", "this", "--sessions", "1",
                                 "--context", "128", "--prompt", "16", "--output", "8", "--html",
                                 (directory_.path() / "plan.html").string()});
  ASSERT_EQ(planned.code, 0) << planned.err;
  const std::string html = read_file(directory_.path() / "plan.html");
  EXPECT_NE(html.find("steps fitted to fathom bench on"), std::string::npos);
}

TEST_F(PlanFit, PrintsPredictedBesideMeasuredAsJson) {
  const Finished fitted =
      plan({"--fit", "--fit-file", file("runs.json", bench("llama_mha")), "--json"});
  ASSERT_EQ(fitted.code, 0) << fitted.err;
  const json rows = json::parse(fitted.out).at("comparison");
  ASSERT_EQ(rows.size(), 4U);
  for (const json& row : rows) {
    EXPECT_GT(row.at("predicted"), 0);
    EXPECT_GT(row.at("measured"), 0);
    EXPECT_FALSE(row.contains("held_out"));  // there is no other model to fit to
  }
}

TEST_F(PlanFit, SaysWhatIsWrongWithItsFiles) {
  const json run = json::parse(bench("llama_mha"));
  const auto changed = [&](auto change) {
    json other = run;
    change(other);
    return file("changed.json", other.dump());
  };
  struct Wrong {
    std::string file;
    std::string says;
  };
  const Finished missing = plan({"--fit", "--fit-file", "/nowhere/runs.json"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.err.find("/nowhere/runs.json"), std::string::npos) << missing.err;
  const Finished without = plan({"--sessions", "1", "--fit-file", "runs.json"});
  EXPECT_EQ(without.code, 2);
  EXPECT_NE(without.err.find("--fit-file is for --fit"), std::string::npos) << without.err;
  const auto expect = [&](const std::string& path, const std::string& says) {
    const Finished finished = plan({"--fit", "--fit-file", path});
    EXPECT_EQ(finished.code, 1) << says;
    EXPECT_NE(finished.err.find(says), std::string::npos) << finished.err;
    EXPECT_EQ(finished.out, "");
  };
  expect(file("text.json", "tokens/s: 12"), "text.json");
  expect(changed([](json& j) { j["machine"]["kernels"] = "slide rule"; }),
         "was made with slide rule kernels");
  expect(changed([](json& j) { j["machine"]["threads"] = 4711; }), "4711 threads");
  expect(changed([](json& j) { j["machine"]["kv_cache"] = "f8"; }), "no KV cache that there is");
  expect(changed([](json& j) { j["model"]["path"] = "/nowhere/model"; }), "/nowhere/model");
  expect(changed([](json& j) { j["results"] = json::array({j["results"][0]}); }), "too few to fit");
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / "fathom" / "plan" / "fit.json"));
}

TEST_F(PlanFit, SaysWhereCostsCannotBeKept) {
  const std::string runs = file("runs.json", bench("llama_mha"));
  // A file where the user's cache should be.
  const Finished finished =
      run({"plan", "--fit", "--fit-file", runs}, {}, {.environment = {"XDG_CACHE_HOME=" + runs}});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find(runs + "/fathom/plan"), std::string::npos) << finished.err;
}

}  // namespace
}  // namespace fathom::test
