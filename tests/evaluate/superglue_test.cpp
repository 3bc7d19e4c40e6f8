// Prompts, choices and metrics against lm-evaluation-harness (golden/make_superglue_golden.py).
#include "evaluate/superglue.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "temporary_directory.h"

namespace fathom {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

const fs::path kGolden = fs::path(FATHOM_TEST_DATA) / "golden";

// The log-likelihood that the golden's model gives: from the FNV-1a hash of the two texts.
double hash_likelihood(const std::string& context, const std::string& continuation) {
  uint64_t value = 0xCBF29CE484222325;
  const auto add = [&](char c) { value = (value ^ static_cast<unsigned char>(c)) * 0x100000001B3; };
  for (const char c : context) add(c);
  add('\0');
  for (const char c : continuation) add(c);
  return -static_cast<double>(value % 100003) / 1000;
}

TEST(SuperGlue, AsksAndCountsAsTheHarnessDoes) {
  std::ifstream file(kGolden / "superglue.json");
  const Json golden = Json::parse(file);
  ASSERT_EQ(golden["tasks"].size(), 2 * superglue_tasks().size());
  for (const Json& expected : golden["tasks"]) {
    const std::string name = expected["task"];
    SCOPED_TRACE(name + " with " + expected["shots"].dump() + " shots");
    const auto task = read_superglue(name, kGolden / "superglue", expected["shots"]);
    ASSERT_TRUE(task) << task.error().message;
    std::vector<ChoiceOutcome> outcomes;
    size_t at = 0;
    for (const ChoiceQuestion& question : task->questions) {
      std::vector<double> scores;
      for (const std::string& choice : question.choices) {
        ASSERT_LT(at, expected["asked"].size());
        const Json& asked = expected["asked"][at++];
        EXPECT_EQ(question.context, asked[0].get<std::string>());
        EXPECT_EQ(choice, asked[1].get<std::string>());
        scores.push_back(hash_likelihood(question.context, choice));
      }
      outcomes.push_back(judge(question, scores));
    }
    EXPECT_EQ(at, expected["asked"].size());
    const auto measured = measure(*task, outcomes);
    for (const auto& [metric, value] : expected["metrics"].items()) {
      const auto found = std::ranges::find(measured, metric, &Measured::name);
      ASSERT_NE(found, measured.end()) << metric;
      EXPECT_NEAR(found->value, value.get<double>(), 1e-9) << metric;
      EXPECT_LE(found->low, found->value + 1e-9);
      EXPECT_GE(found->high, found->value - 1e-9);
    }
  }
}

// A model that finds every right answer, by what the files say.
TEST(SuperGlue, ScoresAPerfectModelAsTheLeaderboardDoes) {
  for (const std::string_view name : superglue_tasks()) {
    const auto task = read_superglue(name, kGolden / "superglue", 0);
    ASSERT_TRUE(task) << task.error().message;
    std::vector<ChoiceOutcome> outcomes;
    for (const ChoiceQuestion& question : task->questions) {
      std::vector<double> scores(question.choices.size(), -2);
      // MultiRC's first choice says yes, which is right where the label is 1.
      const int64_t best = name == "multirc" ? 1 - question.right : question.right;
      scores[static_cast<size_t>(best)] = -1;
      outcomes.push_back(judge(question, scores));
    }
    EXPECT_DOUBLE_EQ(task_score(*task, measure(*task, outcomes)), 1) << name;
  }
}

class BrokenSuperGlue : public ::testing::Test {
 protected:
  std::string error(const std::string& task, const std::string& folder, const std::string& lines) {
    fs::create_directories(directory_.path() / folder);
    std::ofstream(directory_.path() / folder / "val.jsonl") << lines;
    const auto read = read_superglue(task, directory_.path(), 0);
    return read ? "" : read.error().message;
  }
  const test::TemporaryDirectory directory_;
};

TEST_F(BrokenSuperGlue, IsNamedWithFileLineAndMember) {
  const std::tuple<const char*, const char*, const char*, const char*> cases[] = {
      {"boolq", "BoolQ", "{\"passage\": \"x\"}", "question"},
      {"boolq", "BoolQ", "{\"passage\": \"x\", \"question\": \"y\", \"label\": 2}", "label"},
      {"boolq", "BoolQ", "[1]", "object"},
      {"boolq", "BoolQ", "", "no questions"},
      {"cb", "CB", R"({"premise": "x", "hypothesis": "y", "label": "maybe"})", "maybe"},
      {"copa", "COPA",
       R"({"premise": "x", "choice1": "a", "choice2": "b", "question": "why", "label": 0})",
       "cause or effect"},
      {"multirc", "MultiRC", R"({"passage": {"text": "x", "questions": 3}})", "questions"},
      {"record", "ReCoRD", R"({"passage": {"text": "x", "entities": [{"start": 0, "end": 9}]}})",
       "characters"},
      {"record", "ReCoRD",
       R"({"passage": {"text": "x", "entities": []}, "qas": [{"query": "q", "answers": []}]})",
       "no entities"},
      {"wic", "WiC",
       R"({"sentence1": "a", "sentence2": "b", "start1": -1, "end1": 1, "label": true})",
       "characters"},
      {"wsc", "WSC",
       R"({"text": "a b", "label": true, "target": {"span1_text": "a", "span2_text": "b", "span2_index": 7}})",
       "word"},
  };
  for (const auto& [task, folder, line, word] : cases) {
    EXPECT_NE(error(task, folder, line).find(word), std::string::npos) << error(task, folder, line);
  }
}

TEST_F(BrokenSuperGlue, SaysWhichTasksAndFilesThereAre) {
  const auto unknown = read_superglue("glue", kGolden / "superglue", 0);
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("boolq"), std::string::npos);
  const auto missing = read_superglue("rte", directory_.path(), 0);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("RTE/val.jsonl"), std::string::npos);
  const auto shots = read_superglue("rte", kGolden / "superglue", 100);
  ASSERT_FALSE(shots);
  EXPECT_NE(shots.error().message.find("100 were asked for"), std::string::npos);
}

}  // namespace
}  // namespace fathom
