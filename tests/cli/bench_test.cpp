#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
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
  EXPECT_GT(report.at("machine").at("read_bytes_per_second"), 1e8);
  EXPECT_TRUE(report.at("machine").contains("int8_ops_per_second"));
  EXPECT_TRUE(report.at("machine").contains("float_ops_per_second"));
  std::vector<std::tuple<std::string, int, int, int>> measured;
  for (const auto& result : report.at("results")) {
    measured.emplace_back(result.at("phase"), result.at("tokens"), result.at("batch"),
                          result.at("context"));
    EXPECT_GT(result.at("tokens_per_second"), 0.0);
    EXPECT_GT(result.at("share_of_limit"), 0.0);
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

TEST(Bench, MeasuresSeveralBatchesAndDepthsWhereNothingIsSaid) {
  const Finished finished = run(
      {"bench", "-m", golden_model("llama_gqa_tied"), "--json", "--decode", "1", "--repeat", "1"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  std::vector<int> prefill;
  std::vector<int> batch;
  const json report = json::parse(finished.out);
  for (const auto& result : report.at("results")) {
    if (result.at("phase") == "prefill") {
      prefill.push_back(result.at("tokens"));
    } else {
      batch.push_back(result.at("batch"));
    }
  }
  EXPECT_EQ(prefill, (std::vector{64, 256}));  // 1024 exceed the model's 512
  EXPECT_EQ(batch, (std::vector{1, 2, 4, 8, 16, 32, 64}));
}

TEST(Bench, DrawsEveryResultIntoTheRoofline) {
  const TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "roofline.svg";
  const Finished finished =
      run({"bench", "-m", golden_model("llama_gqa_tied"), "--prefill", "8", "--decode", "2",
           "--batch", "1,2", "--context", "0,16", "--roofline", file.string()});
  ASSERT_EQ(finished.code, 0) << finished.err;
  std::ifstream stream(file);
  const std::string svg{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_TRUE(svg.starts_with("<svg ")) << svg.substr(0, 100);
  for (const char* label : {">prefill 8<", ">decode 1<", ">decode 2<", ">decode 2 at 16<"}) {
    EXPECT_NE(svg.find(label), std::string::npos) << label;
  }
}

TEST(Bench, SaysWhatAdaptersTakeOfTheSpeed) {
  for (const char* model : {"llama_gqa_tied", "deepseek_v3"}) {
    for (const char* layers : {"all", "attention"}) {
      const Finished finished = run({"bench", "-m", golden_model(model), "--prefill", "0",
                                     "--decode", "3", "--batch", "5", "--adapters", "3",
                                     "--adapter-rank", "4", "--adapter-layers", layers, "--json"});
      ASSERT_EQ(finished.code, 0) << finished.err;
      const json results = json::parse(finished.out).at("results");
      ASSERT_EQ(results.size(), 1U);
      const json adapters = results[0].at("adapters");
      EXPECT_EQ(adapters.at("count"), 3);
      EXPECT_EQ(adapters.at("rank"), 4);
      const double with = adapters.at("tokens_per_second");
      const double without = results[0].at("tokens_per_second");
      EXPECT_GT(with, 0);
      EXPECT_NEAR(adapters.at("cost").get<double>(), 1 - with / without, 1e-9);
    }
  }
}

TEST(Bench, AdaptersThatMakeNoSenseAreWrongUsage) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--adapters", "-1"}, "--adapters"},
      {{"--adapters", "100000"}, "--adapters"},
      {{"--adapters", "2", "--adapter-rank", "0"}, "--adapter-rank"},
      {{"--adapters", "2", "--adapter-layers", "head"}, "--adapter-layers"},
      {{"--adapters", "2", "--decode", "0"}, "--decode"},
  };
  for (const auto& [flags, word] : cases) {
    std::vector<std::string> arguments = {"bench", "-m", golden_model("llama_gqa_tied")};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.code, 2) << word;
    EXPECT_NE(finished.err.find(word), std::string::npos) << finished.err;
  }
}

TEST(Bench, AModelAndAShapeTogetherAreWrongUsage) {
  const Finished finished =
      run({"bench", "-m", golden_model("llama_gqa_tied"), "--shape", "distill-1.5b"});
  EXPECT_EQ(finished.code, 2);
  EXPECT_NE(finished.err.find("--shape"), std::string::npos) << finished.err;
}

TEST(Bench, AnUnknownShapeIsWrongUsage) {
  const Finished finished = run({"bench", "--shape", "v2-light-16b"});
  EXPECT_EQ(finished.code, 2);
  EXPECT_NE(finished.err.find("v2-lite-16b"), std::string::npos) << finished.err;
}

TEST(Bench, AGroupWithoutAShapeIsWrongUsage) {
  const Finished finished = run({"bench", "-m", golden_model("llama_gqa_tied"), "--group", "64"});
  EXPECT_EQ(finished.code, 2);
  EXPECT_NE(finished.err.find("--shape"), std::string::npos) << finished.err;
}

TEST(Bench, ABatchLargerThanAPrefillChunkIsPossible) {
  const Finished finished = run({"bench", "-m", golden_model("llama_gqa_tied"), "--prefill", "0",
                                 "--decode", "1", "--batch", "600"});
  EXPECT_EQ(finished.code, 0) << finished.err;
}

}  // namespace
}  // namespace fathom::test
