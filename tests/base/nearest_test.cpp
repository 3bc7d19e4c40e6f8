#include "base/nearest.h"

#include <gtest/gtest.h>

namespace fathom {
namespace {

TEST(NearestNames, CountsEditsAsLevenshteinDoes) {
  EXPECT_EQ(edits_between("kitten", "sitting"), 3U);
  EXPECT_EQ(edits_between("", "abc"), 3U);
  EXPECT_EQ(edits_between("h100", "h100"), 0U);
}

TEST(NearestNames, ComeFirstInOrderOfEditsAndThenOfTheAlphabet) {
  EXPECT_EQ(nearest_names("h10", {"rpi5", "h200", "h100", "a100"}, 2),
            (std::vector<std::string>{"h100", "a100"}));
  EXPECT_EQ(nearest_names("x", {"b"}, 3), (std::vector<std::string>{"b"}));
}

}  // namespace
}  // namespace fathom
