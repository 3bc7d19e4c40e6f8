#include "plan/quality.h"

#include <gtest/gtest.h>

#include "plan/evaluations.h"
#include "storage/results.h"
#include "temporary_directory.h"

namespace fathom::plan {
namespace {

ModelFacts model(std::string_view name, std::string_view precision = "q4_0") {
  auto facts = catalogue_facts(name, precision);
  EXPECT_TRUE(facts) << (facts ? "" : facts.error().message);
  return facts ? *std::move(facts) : ModelFacts();
}

MeasuredQuality measured(std::string name, std::string precision, std::string task, double score,
                         double finished = 1) {
  return {.model = std::move(name),
          .finished = finished,
          .quality = {.score = score,
                      .measured = true,
                      .benchmark = std::move(task),
                      .source = "here",
                      .precision = std::move(precision)}};
}

TEST(Quality, IsClaimedWhereNothingWasMeasured) {
  const auto claim = quality_of(model("v2-lite"), {}, "");
  ASSERT_TRUE(claim);
  EXPECT_FALSE(claim->measured);
  EXPECT_FALSE(claim->source.empty());
  EXPECT_FALSE(quality_of(model("coder-6.7b"), {}, ""));
}

TEST(Quality, IsClaimedOfTheChatVersionApartFromItsBase) {
  ModelFacts base = model("v2-lite");
  base.title = "DeepSeek V2 Lite";
  EXPECT_EQ(quality_of(base, {}, "")->score, 58.3);
  EXPECT_EQ(quality_of(model("v2-lite"), {}, "")->score, 55.7);
}

TEST(Quality, IsClaimedByAnotherBenchmarkOnlyWhereThatIsAskedFor) {
  EXPECT_EQ(quality_of(model("r1"), {}, "")->benchmark, "MMLU");
  EXPECT_EQ(quality_of(model("r1"), {}, "GPQA Diamond")->score, 71.5);
  EXPECT_FALSE(quality_of(model("r1-distill-qwen-7b"), {}, ""));
  EXPECT_EQ(quality_of(model("r1-distill-qwen-7b"), {}, "GPQA Diamond")->score, 49.1);
  EXPECT_EQ(find_task("gpqa-diamond", {}).value(), "GPQA Diamond");
  const auto unknown = find_task("mmul", {});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("The nearest is MMLU"), std::string::npos);
}

TEST(Quality, IsMeasuredBeforeItIsClaimed) {
  // As converters of GGUF files spell the name.
  const std::vector all{measured("Deepseek V2 Lite Chat", "Q4_0", "boolq", 57)};
  const auto found = quality_of(model("v2-lite"), all, "boolq");
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->measured);
  EXPECT_EQ(found->score, 57);
  EXPECT_EQ(found->benchmark, "boolq");
  EXPECT_FALSE(quality_of(model("v2-lite", "q8_0"), all, "boolq")->measured);
  EXPECT_FALSE(quality_of(model("v2-lite"), all, "copa")->measured);
}

TEST(Quality, IsOfTheEvaluationThatFitsBest) {
  const std::vector all{
      measured("v2-lite", "Q4_0 + Q6_K", "boolq", 50, 9),
      measured("v2-lite", "Q4_0", "boolq", 51, 1), measured("v2-lite", "Q4_0", "boolq", 52, 2),
      measured("v2-lite", "", "boolq", 53, 9), measured("v2-lite", "Q8_0", "boolq", 54, 9)};
  EXPECT_EQ(quality_of(model("v2-lite"), all, "boolq")->score, 52);
  EXPECT_EQ(quality_of(model("v2-lite", "q8_0"), all, "boolq")->score, 54);
  // Nobody knows how a server's model was stored.
  EXPECT_EQ(quality_of(model("v2-lite", "bf16"), all, "boolq")->score, 53);
}

TEST(Quality, IsOfTheSameFileBeforeOneOfTheSameName) {
  ModelFacts own = model("v2-lite");
  own.identity = "00112233445566aa";
  std::vector all{measured("v2-lite", "Q4_0", "boolq", 50, 9),
                  measured("renamed", "Q5_K", "boolq", 60, 1)};
  all[1].identity = own.identity;
  EXPECT_EQ(quality_of(own, all, "boolq")->score, 60);
}

TEST(Quality, IsByTheTaskThatMostModelsWereMeasuredBy) {
  const std::vector models{model("v2-lite"), model("llm-7b")};
  const std::vector all{
      measured("v2-lite", "Q4_0", "copa", 50, 9), measured("v2-lite", "Q4_0", "boolq", 51, 1),
      measured("llm-7b", "Q4_0", "boolq", 52, 1), measured("another", "Q4_0", "copa", 52, 9)};
  EXPECT_EQ(task_of(all, models), "boolq");
  EXPECT_EQ(task_of(all, {models.front()}), "copa");  // the later one
  EXPECT_EQ(task_of(all, {model("v3")}), "");
}

class Evaluations : public ::testing::Test {
 protected:
  const test::TemporaryDirectory directory_;
  const std::filesystem::path folder_ = directory_.path();
};

TEST_F(Evaluations, AreReadFromTheResultsOfTasks) {
  const auto file = folder_ / "evaluations.db";
  {
    auto results = EvaluationResults::open(file);
    ASSERT_TRUE(results);
    EvaluationKey key{.model = "Tiny", .identity = "12ab", .precision = "Q4_0", .task = "boolq"};
    ASSERT_TRUE(results->finish(*results->begin(key), 200, {{"score", 0.625}, {"acc", 0.625}}));
    key.task = "perplexity";
    ASSERT_TRUE(results->finish(*results->begin(key), 2000, {{"perplexity", 30}}));
    key.task = "copa";
    ASSERT_TRUE(results->begin(key));  // was not ended
  }
  const auto read = read_evaluations(file);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 1U);
  const MeasuredQuality& one = read->front();
  EXPECT_EQ(one.model, "Tiny");
  EXPECT_EQ(one.identity, "12ab");
  EXPECT_EQ(one.quality.score, 62.5);
  EXPECT_TRUE(one.quality.measured);
  EXPECT_EQ(one.quality.benchmark, "boolq");
  EXPECT_EQ(one.quality.precision, "Q4_0");
  EXPECT_EQ(one.quality.date.size(), 10U);
  EXPECT_NE(one.quality.source.find("200 questions"), std::string::npos) << one.quality.source;
}

TEST_F(Evaluations, AreNotMadeWhereThereAreNone) {
  const auto read = read_evaluations(folder_ / "none.db");
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->empty());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "none.db"));
}

}  // namespace
}  // namespace fathom::plan
