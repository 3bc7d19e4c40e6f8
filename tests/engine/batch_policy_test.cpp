#include "engine/speculation/batch_policy.h"

#include <gtest/gtest.h>

#include <random>

namespace fathom {
namespace {

// A machine on which a step of n rows costs fixed + n * each seconds, and a guess draft_cost more.
struct Machine {
  double fixed = 1;
  double each = 0.1;
  double draft_cost = 0.01;
};

struct Course {
  double seconds = 0;
  int64_t tokens = 0;
  int64_t drafted = 0;
  std::vector<int64_t> of_each;  // guesses
  double cost() const { return seconds / static_cast<double>(tokens); }
};

// Sequences whose guesses are right with these probabilities, for so many steps.
Course run(BatchDraftPolicy& policy, const Machine& machine, const std::vector<double>& right,
           int64_t steps, std::mt19937& random, int64_t most = 8) {
  std::uniform_real_distribution<double> uniform;
  std::vector<AcceptanceRate> rates(right.size());
  Course course;
  course.of_each.assign(right.size(), 0);
  for (int64_t i = 0; i < steps; ++i) {
    std::vector<BatchDraftPolicy::Choice> choices;
    choices.reserve(right.size());
    for (const AcceptanceRate& rate : rates) choices.push_back({.rate = &rate, .most = most});
    policy.choose(std::ssize(right), choices);
    BatchDraftPolicy::Step step{.decoding = std::ssize(right)};
    for (size_t s = 0; s < right.size(); ++s) {
      const int64_t drafted = choices[s].length;
      EXPECT_LE(drafted, most);
      int64_t accepted = 0;
      while (accepted < drafted && uniform(random) < right[s]) ++accepted;
      if (drafted > 0) {
        rates[s].record(drafted, accepted);
        policy.judge(drafted, accepted);
      }
      step.drafted += drafted;
      step.said += accepted + 1;
      course.of_each[s] += drafted;
    }
    EXPECT_LE(step.drafted, BatchDraftPolicy::kMostRows);
    step.draft_seconds = machine.draft_cost * static_cast<double>(step.drafted);
    step.step_seconds =
        machine.fixed + machine.each * static_cast<double>(step.decoding + step.drafted);
    policy.record(step);
    course.seconds += step.draft_seconds + step.step_seconds;
    course.tokens += step.said;
    course.drafted += step.drafted;
  }
  return course;
}

double plain_cost(const Machine& machine, int64_t sequences) {
  return machine.fixed / static_cast<double>(sequences) + machine.each;
}

TEST(BatchDraftPolicy, GuessesNothingBeforeItKnowsWhatAPlainStepCosts) {
  BatchDraftPolicy policy;
  const AcceptanceRate rate;
  std::vector<BatchDraftPolicy::Choice> choices = {{.rate = &rate, .most = 4}};
  policy.choose(1, choices);
  EXPECT_EQ(choices[0].length, 0);
  policy.record({.decoding = 1, .said = 1, .step_seconds = 1});
  policy.choose(1, choices);
  EXPECT_GT(choices[0].length, 0);
  policy.choose(40, choices);
  EXPECT_EQ(choices[0].length, 0) << "of 40 nothing is known";
}

TEST(BatchDraftPolicy, GuessesMuchForOneWhoseGuessesAreRight) {
  std::mt19937 random(1);
  BatchDraftPolicy policy;
  const Machine machine;
  const Course course = run(policy, machine, {0.95}, 600, random);
  EXPECT_LT(course.cost(), 0.45 * plain_cost(machine, 1));
}

TEST(BatchDraftPolicy, LosesLittleWhereNoGuessIsRight) {
  std::mt19937 random(2);
  for (const size_t sequences : {1, 4, 20}) {
    BatchDraftPolicy policy;
    const Machine machine;
    const Course course = run(policy, machine, std::vector<double>(sequences, 0.02), 1500, random);
    EXPECT_LT(course.cost(), 1.03 * plain_cost(machine, std::ssize(course.of_each)));
    EXPECT_GT(course.drafted, 0) << "it tries again now and then";
  }
}

TEST(BatchDraftPolicy, SwitchesOffWhereTheBatchMakesARowCostAsMuchAsATokenBrings) {
  std::mt19937 random(3);
  BatchDraftPolicy policy;
  const Machine machine{.fixed = 0.2, .each = 0.1, .draft_cost = 0.005};
  const Course few = run(policy, machine, {0.8}, 600, random);
  EXPECT_LT(few.cost(), 0.75 * plain_cost(machine, 1));
  const Course many = run(policy, machine, std::vector<double>(40, 0.8), 600, random);
  EXPECT_LT(many.cost(), 1.02 * plain_cost(machine, 40));
  EXPECT_LT(many.drafted, 600);
}

TEST(BatchDraftPolicy, GuessesForThoseWhoseGuessesAreRightAndNotForTheOthers) {
  std::mt19937 random(4);
  BatchDraftPolicy policy;
  const Machine machine{.fixed = 1, .each = 0.08};
  const Course course = run(policy, machine, {0.95, 0.05, 0.05, 0.95}, 800, random);
  EXPECT_GT(course.of_each[0], 5 * course.of_each[1]);
  EXPECT_GT(course.of_each[3], 5 * course.of_each[2]);
  EXPECT_LT(course.cost(), 0.8 * plain_cost(machine, 4));
}

TEST(BatchDraftPolicy, DoesNotMakeAStepMuchLongerForSomeWhileOthersWait) {
  BatchDraftPolicy policy;
  const Machine machine{.fixed = 0.1, .each = 0.1, .draft_cost = 0};
  std::mt19937 random(5);
  std::vector<double> right(6, 0.0);
  right[0] = 1.0;
  const Course course = run(policy, machine, right, 800, random, 16);
  // Each step has six rows of its own; at most twice the time.
  EXPECT_LE(course.seconds, 800 * 2 * (0.1 + 0.6));
}

TEST(BatchDraftPolicy, EstimatesBetweenAndBeyondTheSizesItHasSeen) {
  BatchDraftPolicy policy;
  EXPECT_EQ(policy.step_seconds(3), 0);
  policy.record({.decoding = 2, .said = 2, .step_seconds = 1});
  EXPECT_DOUBLE_EQ(policy.step_seconds(4), 2) << "each row its share, as long as one size is known";
  policy.record({.decoding = 6, .said = 6, .step_seconds = 2});
  EXPECT_DOUBLE_EQ(policy.step_seconds(4), 1.5);
  EXPECT_DOUBLE_EQ(policy.step_seconds(10), 3);
  EXPECT_DOUBLE_EQ(policy.step_seconds(1), 1);
}

TEST(BatchDraftPolicy, LearnsNothingOfTimeFromStepsWithPrompts) {
  BatchDraftPolicy policy;
  policy.record({.decoding = 2, .said = 2, .step_seconds = 1});
  policy.record({.decoding = 2, .said = 2, .step_seconds = 50, .has_prompts = true});
  EXPECT_DOUBLE_EQ(policy.step_seconds(2), 1);
}

}  // namespace
}  // namespace fathom
