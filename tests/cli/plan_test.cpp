#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"
#include "serve/ledger.h"
#include "storage/results.h"

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
    if (!line.starts_with("    fathom ")) {
      EXPECT_LE(line.size(), 100U) << line;
    }
    begin = end + 1;
  }
}

TEST_F(PlanTest, ListsWhatItKnowsWithItsSources) {
  const Finished text = run({"plan", "--catalogue"});
  ASSERT_EQ(text.code, 0) << text.err;
  for (const char* words : {"v2-lite", "2024-05", "DeepSeek Model License", "config.json",
                            "h100-80gb", "NVIDIA H100 data sheet"}) {
    EXPECT_NE(text.out.find(words), std::string::npos) << words;
  }
  const Finished listed = run({"plan", "--catalogue", "--json"});
  ASSERT_EQ(listed.code, 0) << listed.err;
  const auto json = nlohmann::json::parse(listed.out);
  EXPECT_GE(json["models"].size(), 20U);
  EXPECT_GE(json["hardware"].size(), 20U);
  for (const auto& model : json["models"]) {
    EXPECT_GT(model["file_bytes"], model["q4_0_file_bytes"]) << model["name"];
    EXPECT_FALSE(model["source"].get<std::string>().empty());
  }
  for (const auto& hardware : json["hardware"]) {
    EXPECT_GT(hardware["memory_bytes"], 0);
    EXPECT_FALSE(hardware["source"].get<std::string>().empty());
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
  EXPECT_EQ(best["released"], "2025-01");
  EXPECT_EQ(best["licence"], "MIT");
  EXPECT_NE(best["model_source"].get<std::string>().find("config.json"), std::string::npos);
  EXPECT_FALSE(best["hardware_source"].get<std::string>().empty());
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
  EXPECT_EQ(json["load"], "3 requests of a trace over 40 s, at most 20 s apart");
}

TEST_F(PlanTest, RanksByWhatWasMeasuredHere) {
  const auto path = directory_.path() / "evaluations.db";
  {
    auto results = EvaluationResults::open(path);
    ASSERT_TRUE(results) << results.error().message;
    EvaluationKey key{.model = "DeepSeek LLM 7B Chat", .precision = "Q4_0", .task = "boolq"};
    ASSERT_TRUE(results->finish(*results->begin(key), 100, {{"score", 0.75}}));
    key.precision = "Q8_0";
    key.task = "copa";
    ASSERT_TRUE(results->finish(*results->begin(key), 100, {{"score", 0.5}}));
  }
  const std::vector<std::string> asked{"-m",         "llm-7b", "--precision", "q4_0",
                                       "--sessions", "1",      "--results",   path.string()};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), asked.begin(), asked.end());
    return plan(more);
  };
  const Finished text = with({"--html", (directory_.path() / "plan.html").string()});
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_NE(text.out.find("boolq 75.0 (measured 2"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find(" at Q4_0)"), std::string::npos) << text.out;
  const std::string html = read_file(directory_.path() / "plan.html");
  EXPECT_NE(html.find("75.0 (boolq, measured 2"), std::string::npos);
  EXPECT_NE(html.find("fathom eval task boolq, 100 questions"), std::string::npos);

  const Finished result = with({"--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["quality_task"], "boolq");
  const auto& quality = json["deployments"][0]["quality"];
  EXPECT_EQ(quality["score"], 75);
  EXPECT_EQ(quality["measured"], true);
  EXPECT_EQ(quality["precision"], "Q4_0");

  // Of another task nothing is known at this precision, but what its makers published.
  const Finished other = with({"--json", "--quality-task", "copa"});
  ASSERT_EQ(other.code, 0) << other.err;
  EXPECT_EQ(nlohmann::json::parse(other.out)["deployments"][0]["quality"]["measured"], false);
  const Finished unknown = with({"--quality-task", "bolq"});
  EXPECT_NE(unknown.code, 0);
  EXPECT_NE(unknown.err.find("The nearest is boolq"), std::string::npos) << unknown.err;
  const Finished floor = with({"--quality", "80"});
  EXPECT_NE(floor.code, 0);
  EXPECT_NE(floor.err.find("boolq 75.0, 5.0 below the floor of 80"), std::string::npos)
      << floor.err;
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

TEST_F(PlanTest, ReadsHardwareInYamlAndNamesTheLineOfAMistake) {
  const std::string good =
      "hardware:\n"
      "  - name: yaml-box\n"
      "    kind: cpu\n"
      "    memory_gib: 32\n"
      "    read_gb_per_s: 40\n"
      "    float_tflops: 0.5\n";
  const auto with = [&](const std::string& text) {
    return run({"plan", "--hardware-file", file("own.yaml", text), "-m", "r1-distill-qwen-1.5b",
                "--sessions", "1", "--json", "--no-results"});
  };
  const Finished result = with(good);
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["deployments"][0]["hardware"], "yaml-box");
  const Finished wrong = with(good + "    watts: 5\n");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("own.yaml, line 7: yaml-box: there is no field \"watts\""),
            std::string::npos)
      << wrong.err;
}

TEST_F(PlanTest, SaysWhatMustBeDoneBeforeTheCommand) {
  const Finished published =
      plan({"-m", "r1-distill-qwen-1.5b", "--precision", "bf16", "--sessions", "1", "--json"});
  ASSERT_EQ(published.code, 0) << published.err;
  const auto one = nlohmann::json::parse(published.out)["deployments"][0];
  EXPECT_EQ(one["prepare"],
            (nlohmann::json{"fathom pull deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"}));
  const Finished made =
      plan({"-m", "r1-distill-qwen-1.5b", "--precision", "q4_0", "--sessions", "1"});
  ASSERT_EQ(made.code, 0) << made.err;
  const size_t pull = made.out.find("    fathom pull deepseek-ai/");
  const size_t quantize = made.out.find("    fathom quantize -m deepseek-ai/");
  const size_t serve = made.out.find("    fathom serve -m r1-distill-qwen-1.5b-q4_0.gguf ");
  EXPECT_LT(pull, quantize) << made.out;
  EXPECT_LT(quantize, serve) << made.out;
  EXPECT_NE(serve, std::string::npos) << made.out;
  // What is on disk needs nothing, and a configuration has no weights.
  const Finished own = plan({"-m", talking_model(), "--sessions", "1", "--context", "128",
                             "--prompt", "16", "--output", "8", "--json"});
  ASSERT_EQ(own.code, 0) << own.err;
  const auto disk = nlohmann::json::parse(own.out)["deployments"][0];
  EXPECT_TRUE(disk["prepare"].empty());
  EXPECT_EQ(disk["command"].get<std::string>().find(
                fmt::format("fathom serve -m {} --context 128", talking_model())),
            0U);
}

TEST_F(PlanTest, SetsTheClaimsOfTheOverviewBesidePredictions) {
  const Finished text = run({"plan", "--document"});
  ASSERT_EQ(text.code, 0) << text.err;
  for (const char* words : {"latency", "memory", "throughput", "cost", "predicted", "measured",
                            "holds if", "does not hold"}) {
    EXPECT_NE(text.out.find(words), std::string::npos) << words;
  }
  const Finished result = run({"plan", "--document", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_FALSE(json["claims"].empty());
  for (const auto& claim : json["claims"]) {
    for (const char* field : {"table", "subject", "claimed", "predicted", "verdict", "why"}) {
      EXPECT_FALSE(claim[field].get<std::string>().empty()) << field;
    }
  }
  // The fixed cost that puts the break-even at 1.5 million requests.
  EXPECT_NEAR(json["cost"]["lite_fixed_usd_for_break_even"].get<double>(), 0.59, 0.01);
}

TEST_F(PlanTest, WritesAReportThatLoadsNothing) {
  const std::string path = (directory_.path() / "plan.html").string();
  const Finished result =
      plan({"-m", "r1-distill-qwen-1.5b", "-m", "v3", "--sessions", "2", "--html", path});
  ASSERT_EQ(result.code, 0) << result.err;
  const std::string html = read_file(path);
  EXPECT_EQ(html.find("<!doctype html>"), 0U);
  for (const char* heading :
       {"Cost over volume", "Latency over load", "Memory by part", "Roofline of the first",
        "Commands", "Ruled out", "Where the figures come from"}) {
    EXPECT_NE(html.find(heading), std::string::npos) << heading;
  }
  for (const char* foreign : {"<script", "src=", "href=", "@import", "url("}) {
    EXPECT_EQ(html.find(foreign), std::string::npos) << foreign;
  }
  const Finished nowhere =
      plan({"-m", "r1-distill-qwen-1.5b", "--sessions", "2", "--html", "/nowhere/plan.html"});
  EXPECT_NE(nowhere.code, 0);
  EXPECT_NE(nowhere.err.find("/nowhere/plan.html"), std::string::npos) << nowhere.err;
}

TEST_F(PlanTest, NamesTheConstraintThatBindsAndByHowMuch) {
  struct Impossible {
    std::vector<std::string> wishes;
    std::string constraint;
    std::string says;
  };
  const std::vector<Impossible> all{
      {{"--sessions", "1", "--ttft-ms", "0.1"}, "ttft", "over the limit of 0.1"},
      {{"--sessions", "1", "--itl-ms", "0.5"}, "itl", "over the limit of 0.5"},
      {{"--sessions", "1", "--buy", "--budget", "0.0001"}, "budget", "over the limit of 0.0001"},
      {{"--rate", "900"}, "load", "keep up with"},
      {{"--sessions", "1", "--context", "900000"}, "context", "too few"},
      {{"--sessions", "1", "--modality", "image"}, "modality", "does not take images"},
      {{"--sessions", "1", "--quality", "10"}, "quality", "no evaluation of the model is known"}};
  for (const Impossible& wish : all) {
    std::vector<std::string> arguments{"-m", "r1-distill-qwen-1.5b", "--no-results"};
    arguments.insert(arguments.end(), wish.wishes.begin(), wish.wishes.end());
    const Finished result = plan(arguments);
    EXPECT_EQ(result.code, 1) << wish.constraint << result.out;
    EXPECT_NE(result.err.find(fmt::format("fails at {}: ", wish.constraint)), std::string::npos)
        << result.err;
    EXPECT_NE(result.err.find(wish.says), std::string::npos) << result.err;
  }
  const Finished memory = plan({"-m", "v3", "--sessions", "1"});
  EXPECT_EQ(memory.code, 1);
  EXPECT_NE(memory.err.find("fails at memory: "), std::string::npos) << memory.err;
  EXPECT_NE(memory.err.find("too little"), std::string::npos) << memory.err;
}

TEST_F(PlanTest, KnowsThatNoA800Has120GB) {
  const Finished result = plan({"--rate", "1", "--hardware", "A800 120 GB"});
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("There is no A800 with 120 GB"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("a800-80gb"), std::string::npos) << result.err;
  const Finished typo = plan({"--rate", "1", "--hardware", "a100-8gb"});
  EXPECT_EQ(typo.code, 2);
  EXPECT_NE(typo.err.find("a100-80gb"), std::string::npos) << typo.err;
}

TEST_F(PlanTest, SaysWhichLineOfATraceIsWrong) {
  const std::string first = "{\"at\": 0, \"prompt_tokens\": 100, \"output_tokens\": 20}\n";
  struct Wrong {
    std::string rest;
    std::string says;
  };
  const std::vector<Wrong> wrongs{
      {"{\"prompt_tokens\": 5, \"output_tokens\": 2}\n", "line 2: \"at\" is missing"},
      {"{\"at\": -1, \"prompt_tokens\": 5, \"output_tokens\": 2}\n", "line 2: \"at\" must be"},
      {"\n{\"at\": 3, \"output_tokens\": 2}\n", "line 3: there must be one of"},
      {"{\"at\": 3, \"prompt_tokens\": 5.5, \"output_tokens\": 2}\n", "line 2: \"prompt_tokens\""},
      {"{\"at\": 3, \"prompt\": \"\", \"max_tokens\": 2}\n", "line 2: \"prompt\" must be a text"},
      {"at,prompt,output\n", "line 2: the line is not usable JSON"},
      {"", "a load needs two at least"},
      {first, "all requests come at the same time"}};
  for (const Wrong& wrong : wrongs) {
    const Finished result =
        plan({"-m", "r1-distill-qwen-1.5b", "--trace", file("day.jsonl", first + wrong.rest)});
    EXPECT_EQ(result.code, 2) << wrong.rest;
    EXPECT_NE(result.err.find("day.jsonl"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(wrong.says), std::string::npos) << result.err;
  }
  const Finished ledger =
      plan({"-m", "r1-distill-qwen-1.5b", "--ledger", file("serve.db", "at,prompt,output\n")});
  EXPECT_NE(ledger.code, 0);
  EXPECT_NE(ledger.err.find("serve.db"), std::string::npos) << ledger.err;
}

TEST_F(PlanTest, SaysWhichWishCannotBeKept) {
  const Finished result =
      plan({"-m", "r1-distill-qwen-1.5b", "--sessions", "1", "--itl-ms", "0.5"});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("fails at itl"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("over the limit"), std::string::npos);
}

TEST_F(PlanTest, TakesNoFlagThatItWouldNotUse) {
  const std::vector<std::vector<std::string>> wrongs{
      {"--document", "--rate", "1"},
      {"--catalogue", "--rate", "1"},
      {"--document", "--html", "plan.html"},
      {"--fit", "-m", "v2-lite"},
      {"--fit", "--verify"},
      {"--rate", "1", "--verify", "--html", "plan.html"},
      {"--rate", "1", "--verify", "--break-even", "1", "2"},
      {"--rate", "1", "--verify-seconds", "5"},
      {"--rate", "1", "--fixed-usd", "5"}};
  for (const std::vector<std::string>& arguments : wrongs) {
    std::vector<std::string> all{"plan"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Finished result = run(all);
    EXPECT_EQ(result.code, 2) << arguments[0] << arguments[1];
    const bool both = result.err.find("excludes") != std::string::npos ||
                      result.err.find("requires") != std::string::npos;
    EXPECT_TRUE(both) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(PlanTest, SaysThatDividedModelsAreCalculations) {
  const Finished result = run({"plan", "-m", "v3", "--precision", "fp8", "--hardware", "h100-80gb",
                               "--rate", "50", "--no-results", "--top", "1"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("nor divides a model among devices"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("fathom serve"), std::string::npos) << result.out;
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
      // Not the same as leaving the flag out.
      {{"--rate", "0"}, "--rate: 0 is too few"},
      {{"--sessions", "0"}, "--sessions: 0 is too few"},
      {{"--rate", "1", "--ttft-ms", "0"}, "--ttft-ms: 0 is too few"},
      {{"--rate", "1", "--itl-ms", "0.0"}, "--itl-ms: 0.0 is too few"},
      {{"--rate", "1", "--budget", "0"}, "--budget: 0 is too few"},
      {{"--rate", "1", "--seed", "-1"}, "--seed: -1 is negative"},
      {{"--rate", "1", "--break-even", "2", "2"}, "not 2 with itself"},
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
      {{"--rate", "1", "--results", "/nowhere/evaluations.db"}, "There are no results"},
      {{"--rate", "1", "--no-results", "--quality-task", "boolq"}, "No model was measured by"},
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
