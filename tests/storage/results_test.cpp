#include "storage/results.h"

#include <gtest/gtest.h>

#include "temporary_directory.h"

namespace fathom {
namespace {

class EvaluationResultsTest : public ::testing::Test {
 protected:
  EvaluationResults open() const {
    auto results = EvaluationResults::open(folder_ / "deep" / "evaluations.db");
    EXPECT_TRUE(results) << results.error().message;
    return *std::move(results);
  }

  const test::TemporaryDirectory directory_;
  const std::filesystem::path folder_ = directory_.path();
  EvaluationKey key_{
      .model = "Tiny", .identity = "12ab", .precision = "Q4_0", .task = "boolq", .settings = "{}"};
};

TEST_F(EvaluationResultsTest, GoOnWithARunThatHasNotEnded) {
  int64_t run = 0;
  {
    EvaluationResults results = open();
    run = *results.begin(key_);
    ASSERT_TRUE(results.add(run, {{1, "b"}, {0, "a"}}));
  }
  EvaluationResults results = open();
  EXPECT_EQ(*results.begin(key_), run);
  const auto answers = *results.answers(run);
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].outcome, "a");
  EXPECT_EQ(answers[1].question, 1);

  EvaluationKey other = key_;
  other.settings = R"({"shots": 2})";
  EXPECT_NE(*results.begin(other), run);
  ASSERT_TRUE(results.finish(run, 2, {{.name = "acc", .value = 0.5}}));
  EXPECT_NE(*results.begin(key_), run);  // it has ended: the next is a new one
}

TEST_F(EvaluationResultsTest, TellWhatWasMeasuredOfAModelAtAPrecision) {
  EvaluationResults results = open();
  for (const double value : {0.25, 0.75}) {
    const int64_t run = *results.begin(key_);
    ASSERT_TRUE(results.finish(
        run, 4, {{.name = "acc", .value = value, .low = 0.1, .high = 0.9}, {.name = "f1"}}));
  }
  EvaluationKey other = key_;
  other.precision = "F16";
  ASSERT_TRUE(results.finish(*results.begin(other), 4, {}));
  EvaluationKey open_run = key_;
  open_run.task = "cb";
  ASSERT_TRUE(results.begin(open_run));

  EXPECT_EQ(results.measured()->size(), 2U);
  EXPECT_EQ(results.measured("other")->size(), 0U);
  const auto found = *results.measured("tiny", "q4_0");
  ASSERT_EQ(found.size(), 1U);  // the later of the two
  EXPECT_EQ(found[0].key.task, "boolq");
  EXPECT_EQ(found[0].questions, 4);
  ASSERT_EQ(found[0].metrics.size(), 2U);
  EXPECT_EQ(found[0].metrics[0].value, 0.75);
  EXPECT_EQ(found[0].metrics[0].high, 0.9);
  EXPECT_FALSE(found[0].metrics[1].low);
  EXPECT_EQ(results.run(found[0].run)->key.precision, "Q4_0");
  EXPECT_FALSE(results.run(99));
}

TEST_F(EvaluationResultsTest, SayWhichFileIsNoDatabase) {
  const auto results = EvaluationResults::open("/dev/null/x.db");
  ASSERT_FALSE(results);
  EXPECT_NE(results.error().message.find("/dev/null"), std::string::npos);
}

}  // namespace
}  // namespace fathom
