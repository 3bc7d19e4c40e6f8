#include "engine/speculation/prompt_lookup.h"

#include <gtest/gtest.h>

namespace fathom {
namespace {

std::vector<int32_t> guess(std::vector<int32_t> tokens, int64_t limit = 16) {
  PromptLookup lookup;
  Draft draft;
  EXPECT_TRUE(lookup.propose(tokens, limit, draft));
  EXPECT_TRUE(draft.distributions.empty());
  return draft.tokens;
}

using Tokens = std::vector<int32_t>;

TEST(PromptLookup, GuessesWhatFollowedTheSameTokens) {
  EXPECT_EQ(guess({1, 2, 3, 4, 5, 6, 7, 1, 2, 3}), (Tokens{4, 5, 6, 7, 1, 2}));
  EXPECT_EQ(guess({1, 2, 3, 4, 5, 6, 7, 1, 2, 3}, 2), (Tokens{4, 5}));
}

TEST(PromptLookup, PrefersTheLongerMatchAndThenTheLaterOne) {
  EXPECT_EQ(guess({1, 2, 3, 40, 9, 2, 3, 50, 1, 2, 3}, 1), (Tokens{40}));
  EXPECT_EQ(guess({2, 3, 40, 2, 3, 50, 2, 3}, 1), (Tokens{50}));
}

TEST(PromptLookup, GuessesNothingWithoutAMatchOfTwo) {
  EXPECT_EQ(guess({1, 2, 3, 4, 5}), Tokens{});
  EXPECT_EQ(guess({1, 2, 3, 9, 3}), Tokens{});
  EXPECT_EQ(guess({7}), Tokens{});
  EXPECT_EQ(guess({7, 7}), Tokens{});
}

TEST(PromptLookup, GoesOnARepetitionFromItsOwnBeginning) {
  EXPECT_EQ(guess({7, 7, 7}), (Tokens{7}));
  EXPECT_EQ(guess({5, 6, 5, 6, 5, 6}, 3), (Tokens{5, 6}));
}

TEST(PromptLookup, TrustsAShortMatchForAFewTokensOnly) {
  EXPECT_EQ(guess({1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2}), (Tokens{3, 4, 5, 6}));
}

}  // namespace
}  // namespace fathom
