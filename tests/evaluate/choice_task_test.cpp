#include "evaluate/choice_task.h"

#include <gtest/gtest.h>

#include "evaluate/comparison.h"
#include "text/answer_words.h"

namespace fathom {
namespace {

TEST(ChoiceOutcome, PrefersByLengthWhatIsLikelyPerCharacter) {
  const ChoiceQuestion question{.context = "", .choices = {" a", " é b c d"}};
  const ChoiceOutcome outcome = judge(question, {-2, -7});
  EXPECT_EQ(outcome.chosen, 0);
  EXPECT_EQ(outcome.chosen_by_length, 1) << "-1 per character, of seven, against -2";
}

TEST(ChoiceOutcome, TakesTheFirstOfEquals) {
  const ChoiceQuestion question{.context = "", .choices = {" a", " b"}};
  EXPECT_EQ(judge(question, {-2, -2}).chosen, 0);
}

TEST(ChoiceMetrics, OfNothingAreNothing) {
  EXPECT_EQ(accuracy({}), 0);
  EXPECT_EQ(macro_f1({}, 3), 0);
  EXPECT_EQ(word_f1({}), 0);
}

TEST(ChoiceMetrics, IntervalsCoverWhatTheySayTheyDo) {
  // 40 of 100 right: the standard error of the share is 0.049.
  ChoiceTask task{.name = "t", .questions = {}, .metrics = {{"acc", accuracy}}};
  std::vector<ChoiceOutcome> outcomes;
  for (int i = 0; i < 100; ++i) {
    task.questions.push_back({.context = "", .choices = {" a", " b"}, .right = i < 40 ? 0 : 1});
    outcomes.push_back({.loglikelihoods = {}, .chosen = 0});
  }
  const auto measured = measure(task, outcomes);
  EXPECT_DOUBLE_EQ(measured[0].value, 0.4);
  EXPECT_NEAR(measured[0].low, 0.4 - 1.96 * 0.049, 0.015);
  EXPECT_NEAR(measured[0].high, 0.4 + 1.96 * 0.049, 0.015);
}

TEST(AnswerWords, IgnoreCasePunctuationAndArticles) {
  EXPECT_EQ(answer_words("The  quick, brown fox!"),
            (std::vector<std::string>{"quick", "brown", "fox"}));
  EXPECT_EQ(answer_f1("", "..."), 1);
  EXPECT_EQ(answer_f1("x", ""), 0);
}

TEST(Comparison, CountsWhoAloneWasRight) {
  const std::vector<char> a = {1, 1, 0, 0, 1, 0, 0, 0};
  const std::vector<char> b = {1, 0, 1, 1, 1, 1, 1, 0};
  const Comparison result = compare(a, b);
  EXPECT_EQ(result.only_a, 1);
  EXPECT_EQ(result.only_b, 4);
  EXPECT_DOUBLE_EQ(result.difference, 3.0 / 8);
  // At most one head in five throws, or one tail: 2 (1 + 5) / 32.
  EXPECT_NEAR(result.p_value, 12.0 / 32, 1e-9);
  EXPECT_LE(result.low, result.difference);
  EXPECT_GE(result.high, result.difference);
}

TEST(Comparison, OfEqualAnswersFindsNoDifference) {
  const std::vector<char> a(50, 1);
  const Comparison result = compare(a, a);
  EXPECT_EQ(result.p_value, 1);
  EXPECT_EQ(result.low, 0);
  EXPECT_EQ(result.high, 0);
  EXPECT_EQ(compare({}, {}).questions, 0);
}

}  // namespace
}  // namespace fathom
