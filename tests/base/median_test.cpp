#include "base/median.h"

#include <gtest/gtest.h>

namespace fathom {
namespace {

TEST(Median, IsInTheMiddleWhateverTheOrder) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 100, 2}), 3);
  EXPECT_EQ(median({5}), 5);
  EXPECT_EQ(median({}), 0);
}

}  // namespace
}  // namespace fathom
