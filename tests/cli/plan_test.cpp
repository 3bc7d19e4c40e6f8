#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"
#include "serve/ledger.h"

namespace fathom::test {
namespace {

class PlanTest : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    const auto path = directory_.path() / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  // A machine of the user's own, so that nothing has to be measured.
  std::string hardware() const {
    return file("hardware.json", R"({"hardware": [{"name": "box", "title": "A box", "kind": "cpu",
      "memory_gib": 32, "read_gb_per_s": 40, "int8_tops": 2, "float_tflops": 0.5,
      "busy_watts": 90, "idle_watts": 20, "purchase_usd": 900}]})");
  }
  Finished plan(std::vector<std::string> more) const {
    std::vector<std::string> arguments{"plan", "--hardware-file", hardware()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }

  TemporaryDirectory directory_;
};

TEST_F(PlanTest, RanksDeploymentsAsTextOfAHundredColumns) {
  const Finished result = plan({"-m", "r1-distill-qwen-1.5b", "--sessions", "2"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("DeepSeek-R1-Distill"), std::string::npos) << result.out;
  size_t begin = 0;
  while (begin < result.out.size()) {
    const size_t end = std::min(result.out.find('\n', begin), result.out.size());
    const std::string line = result.out.substr(begin, end - begin);
    // Commands are to be copied whole.
    if (line.find("fathom serve") == std::string::npos) {
      EXPECT_LE(line.size(), 100U) << line;
    }
    begin = end + 1;
  }
}

TEST_F(PlanTest, PrintsJson) {
  const Finished result = plan({"-m", "r1-distill-qwen-1.5b", "-m", "v3", "--precision", "q4_0",
                                "--rate", "0.1", "--json", "--top", "1"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json["deployments"].size(), 1U);
  const auto& best = json["deployments"][0];
  EXPECT_EQ(best["model"], "r1-distill-qwen-1.5b");
  EXPECT_EQ(best["precision"], "q4_0");
  EXPECT_EQ(best["hardware"], "box");
  for (const char* count : {"tp", "pp", "ep", "replicas"}) EXPECT_GE(best[count], 1) << count;
  for (const char* number :
       {"memory_bytes", "ttft_ms", "itl_ms", "tokens_per_second", "usd_per_million_requests"}) {
    EXPECT_GT(best[number], 0) << number;
  }
  EXPECT_FALSE(best["bound_by"].get<std::string>().empty());
  EXPECT_EQ(best["command"].get<std::string>().find("fathom serve -m"), 0U);
  ASSERT_EQ(json["ruled_out"].size(), 1U);
  EXPECT_EQ(json["ruled_out"][0]["model"], "v3");
  EXPECT_EQ(json["ruled_out"][0]["constraint"], "memory");
}

TEST_F(PlanTest, PlansForATraceAndForAConfigurationAlone) {
  const std::string trace = file("day.jsonl",
                                 "{\"at\": 0, \"prompt_tokens\": 100, \"output_tokens\": 20}\n"
                                 "{\"at\": 9, \"prompt_tokens\": 50, \"output_tokens\": 10}\n");
  std::filesystem::create_directory(directory_.path() / "model");
  const std::string config =
      file("model/config.json", read_file(std::filesystem::path(talking_model()) / "config.json"));
  const Finished result =
      plan({"-m", config, "--precision", "q8_0", "--trace", trace, "--context", "128", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["deployments"][0]["precision"], "q8_0");
}

TEST_F(PlanTest, PlansForWhatAServerWasAsked) {
  const auto path = directory_.path() / "serve.db";
  {
    auto ledger = serve::Ledger::open(path, 0);
    ASSERT_TRUE(ledger) << ledger.error().message;
    for (int i = 0; i < 3; ++i) {
      (*ledger)->add({.time = 1000.0 + 20 * i, .prompt_tokens = 90, .completion_tokens = 30});
    }
    // An embedding, and what was asked of Lite for nothing.
    (*ledger)->add({.time = 1100, .prompt_tokens = 9});
    (*ledger)->add({.time = 1200,
                    .prompt_tokens = 9,
                    .completion_tokens = 9,
                    .outcome = serve::LedgerEntry::kDropped});
    (*ledger)->flush();
  }
  const Finished result = plan({"-m", "r1-distill-qwen-1.5b", "--ledger", path.string(), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["load"], "3 requests of a trace over 40 s");
}

TEST_F(PlanTest, ReckonsTheBreakEvenOfTwo) {
  const Finished result =
      plan({"-m", "r1-distill-qwen-1.5b", "-m", "v2-lite", "--precision", "q4_0", "--rate", "0.05",
            "--break-even", "1", "2", "--fixed-usd", "50", "--escalated", "0.2", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["break_even"]["escalated"], 0.2);
  EXPECT_EQ(json["break_even"]["cheaper_below"], "second");
  EXPECT_GT(json["break_even"]["volumes"][0]["hybrid_usd"],
            json["break_even"]["volumes"][0]["first_usd"]);
}

TEST_F(PlanTest, SaysWhichWishCannotBeKept) {
  const Finished result =
      plan({"-m", "r1-distill-qwen-1.5b", "--sessions", "1", "--itl-ms", "0.5"});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("fails at itl"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("over the limit"), std::string::npos);
}

TEST_F(PlanTest, SaysWhatIsWrong) {
  struct Wrong {
    std::vector<std::string> arguments;
    std::string says;
  };
  const std::vector<Wrong> wrongs{
      {{}, "the load must be given once"},
      {{"--rate", "1", "--sessions", "2"}, "the load must be given once"},
      {{"--rate", "-3"}, "--rate is -3"},
      {{"--sessions", "-1"}, "--sessions is -1"},
      {{"--rate", "1", "--prompt", "0"}, "--prompt is"},
      {{"--rate", "1", "--ttft-ms", "-5"}, "--ttft-ms is -5"},
      {{"--rate", "1", "--percentile", "100"}, "--percentile is 100"},
      {{"--rate", "1", "--quality", "150"}, "--quality is 150"},
      {{"--rate", "1", "--precision", "q3"}, "--precision is"},
      {{"--rate", "1", "--kv-cache", "f8"}, "--kv-cache is"},
      {{"--rate", "1", "--by", "luck"}, "--by is"},
      {{"--rate", "1", "-m", "v2-lit"}, "v2-lite"},
      {{"--rate", "1", "--hardware", "a800-120gb"}, "80"},
      {{"--rate", "1", "--escalated", "0.2"}, "--break-even"},
      {{"--rate", "1", "--break-even", "1", "99", "-m", "smollm2-135m"}, "--break-even takes"},
      {{"--ledger", "/nowhere/serve.db"}, "There is no ledger"},
      {{"--trace", "/nowhere/day.jsonl"}, "day.jsonl"},
  };
  for (const Wrong& wrong : wrongs) {
    const Finished result = plan(wrong.arguments);
    EXPECT_NE(result.code, 0) << wrong.says;
    std::string said = result.err;
    if (const size_t at = said.find("The load"); at != std::string::npos) said[at] = 't';
    EXPECT_NE(said.find(wrong.says), std::string::npos) << wrong.says << ": " << result.err;
    EXPECT_EQ(result.out, "");
  }
}

}  // namespace
}  // namespace fathom::test
