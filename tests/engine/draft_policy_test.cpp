#include "engine/speculation/draft_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace fathom {
namespace {

// A machine on which a step over 1 + k tokens costs 1 + slope * k plain steps, a draft token
// draft_cost, and each drafted token is accepted with probability `accepted`.
struct Machine {
  double accepted = 0.5;
  double slope = 0.1;
  double draft_cost = 0.01;
};

struct Course {
  double seconds = 0;
  int64_t tokens = 0;
  int64_t drafted = 0;
  int64_t steps = 0;
  int64_t last_length = 0;

  double cost() const { return seconds / static_cast<double>(tokens); }
};

Course answer(DraftPolicy& policy, const Machine& machine, int64_t tokens, std::mt19937& random) {
  std::uniform_real_distribution<double> uniform;
  Course course;
  while (course.tokens < tokens) {
    DraftPolicy::Step step;
    step.drafted = policy.next();
    while (step.accepted < step.drafted && uniform(random) < machine.accepted) ++step.accepted;
    step.draft_seconds = machine.draft_cost * static_cast<double>(step.drafted);
    step.step_seconds = 1 + machine.slope * static_cast<double>(step.drafted);
    policy.record(step);
    course.seconds += step.draft_seconds + step.step_seconds;
    course.tokens += step.accepted + 1;
    course.drafted += step.drafted;
    ++course.steps;
    if (step.drafted > 0) course.last_length = step.drafted;
  }
  return course;
}

TEST(DraftPolicy, DraftsNothingBeforeItKnowsWhatAPlainStepCosts) {
  DraftPolicy policy(8);
  EXPECT_EQ(policy.next(), 0);
  policy.record({.step_seconds = 1.0});
  EXPECT_GT(policy.next(), 0);
  EXPECT_LE(policy.next(), 8);
}

TEST(DraftPolicy, NeverDraftsMoreThanItMay) {
  std::mt19937 random(1);
  for (const int64_t most : {0, 1, 3, 16}) {
    DraftPolicy policy(most);
    for (int i = 0; i < 200; ++i) {
      const int64_t length = policy.next();
      ASSERT_GE(length, 0);
      ASSERT_LE(length, most);
      policy.record({.drafted = length, .accepted = length, .step_seconds = 1.0});
    }
  }
}

TEST(DraftPolicy, DraftsLongWhereAlmostAllIsAccepted) {
  std::mt19937 random(2);
  DraftPolicy policy(12);
  const Course course = answer(policy, {.accepted = 0.97}, 2000, random);
  EXPECT_GT(course.last_length, 6);
  EXPECT_LT(course.cost(), 0.35);
}

TEST(DraftPolicy, DraftsShortWhereHalfIsAcceptedAndChecksAreDear) {
  std::mt19937 random(3);
  DraftPolicy policy(12);
  const Course course = answer(policy, {.accepted = 0.6, .slope = 0.25}, 2000, random);
  EXPECT_LE(course.last_length, 4);
  EXPECT_LT(course.cost(), 0.95);
}

TEST(DraftPolicy, CostsUnderThreePercentWhereNothingIsAccepted) {
  std::mt19937 random(4);
  for (const double slope : {0.02, 0.1, 0.3, 1.0, 3.0}) {
    DraftPolicy policy(12);
    const Course course = answer(policy, {.accepted = 0.0, .slope = slope}, 300, random);
    EXPECT_LT(course.cost(), 1.03) << slope;
  }
}

TEST(DraftPolicy, CostsLittleWhereDraftsAreDear) {
  std::mt19937 random(5);
  DraftPolicy policy(5);
  const Course course =
      answer(policy, {.accepted = 0.5, .slope = 0.1, .draft_cost = 0.9}, 300, random);
  EXPECT_LT(course.cost(), 1.04);
}

TEST(DraftPolicy, NoticesWhenDraftingBeginsToPay) {
  std::mt19937 random(6);
  DraftPolicy policy(8);
  answer(policy, {.accepted = 0.02}, 500, random);
  const Course change = answer(policy, {.accepted = 0.95}, 600, random);
  EXPECT_LT(change.cost(), 0.7);
  EXPECT_LT(answer(policy, {.accepted = 0.95}, 300, random).cost(), 0.4);
}

TEST(DraftPolicy, StopsSoonWhenDraftingNoLongerPays) {
  std::mt19937 random(7);
  DraftPolicy policy(8);
  answer(policy, {.accepted = 0.95}, 500, random);
  const Course change = answer(policy, {.accepted = 0.0, .slope = 0.3}, 300, random);
  // What was saved up may be spent, no more.
  EXPECT_LT(change.cost(), 1.05);
  EXPECT_LT(change.drafted, 100);
}

}  // namespace
}  // namespace fathom
