#include "cli/flag_checks.h"

#include <gtest/gtest.h>

namespace fathom::cli {
namespace {

TEST(FlagChecks, TellZeroAndNegativeSeeds) {
  EXPECT_EQ(not_zero("1"), "");
  EXPECT_EQ(not_zero("-1"), "");  // what is out of range is said elsewhere
  EXPECT_EQ(not_zero("zero"), "");
  EXPECT_NE(not_zero("0.0"), "");
  EXPECT_EQ(is_seed("18446744073709551615"), "");
  EXPECT_NE(is_seed("18446744073709551616"), "");
  EXPECT_NE(is_seed("-1"), "");
}

}  // namespace
}  // namespace fathom::cli
