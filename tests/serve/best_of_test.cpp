#include "serve/best_of.h"

#include <gtest/gtest.h>

namespace fathom::serve {
namespace {

Choice choice(std::string text, std::vector<float> logprobs) {
  Choice choice;
  choice.text = std::move(text);
  for (const float logprob : logprobs) {
    choice.tokens.push_back({.token = 1, .logprob = logprob, .top = {}});
  }
  return choice;
}

std::vector<std::string> texts(const std::vector<Choice>& choices) {
  std::vector<std::string> list;
  for (const Choice& one : choices) list.push_back(one.text);
  return list;
}

TEST(BestOf, CountsTheLogProbabilityOfATokenNotOfTheWhole) {
  // The long answer is less likely as a whole and more likely token by token.
  EXPECT_EQ(texts(best_choices({choice("short", {-1.0F}), choice("long", {-0.5F, -0.5F, -0.5F}),
                                choice("bad", {-3.0F})},
                               3, 2)),
            (std::vector<std::string>{"long", "short"}));
}

TEST(BestOf, ChoosesForEachPromptAndTakesTheEarlierOfEquals) {
  EXPECT_EQ(texts(best_choices({choice("a", {-1.0F}), choice("b", {-1.0F}), choice("c", {-2.0F}),
                                choice("d", {-1.0F})},
                               2, 1)),
            (std::vector<std::string>{"a", "d"}));
}

TEST(BestOf, PutsAnEmptyAnswerLast) {
  EXPECT_EQ(texts(best_choices({choice("", {}), choice("x", {-9.0F})}, 2, 2)),
            (std::vector<std::string>{"x", ""}));
}

}  // namespace
}  // namespace fathom::serve
