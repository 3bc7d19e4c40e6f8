#include "evaluate/windows.h"

#include <gtest/gtest.h>

namespace fathom {
namespace {

TEST(Windows, ScoreEveryTokenOnceButTheFirstOfAText) {
  for (const int64_t length : {2, 63, 64, 65, 200}) {
    for (const int64_t stride : {1, 16, 63}) {
      const auto windows = cut_windows(length, {.context = 64, .stride = stride});
      ASSERT_TRUE(windows);
      int64_t next = 1;
      for (const Window& window : *windows) {
        EXPECT_EQ(window.scored, next);
        EXPECT_GT(window.scored, window.begin);
        EXPECT_LE(window.end - window.begin, 64);
        next = window.end;
      }
      EXPECT_EQ(next, length);
    }
  }
}

TEST(Windows, WithoutOverlapLeaveOutTheFirstTokenOfEach) {
  const auto windows = cut_windows(129, {.context = 64});
  ASSERT_TRUE(windows);
  // The last token is alone in its window, with nothing before it to predict it from.
  ASSERT_EQ(windows->size(), 2U);
  EXPECT_EQ((*windows)[1].begin, 64);
  EXPECT_EQ((*windows)[1].scored, 65);
}

TEST(Windows, AreNoneForATextOfOneToken) {
  EXPECT_TRUE(cut_windows(1, {})->empty());
  EXPECT_TRUE(cut_windows(0, {})->empty());
}

TEST(Windows, RejectAContextThatPredictsNothingAndAStrideThatSkipsTokens) {
  EXPECT_FALSE(cut_windows(10, {.context = 1}));
  EXPECT_FALSE(cut_windows(10, {.context = 8, .stride = 9}));
  EXPECT_FALSE(cut_windows(10, {.context = 8, .stride = -1}));
}

}  // namespace
}  // namespace fathom
