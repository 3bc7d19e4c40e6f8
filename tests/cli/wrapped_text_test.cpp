#include "cli/wrapped_text.h"

#include <gtest/gtest.h>

#include <string>

namespace fathom::cli {
namespace {

TEST(WrappedText, BreaksBetweenWordsAndIndents) {
  EXPECT_EQ(wrapped("  why", 8, "it is so"), "  why   it is so\n");
  const std::string long_word(80, 'x');
  EXPECT_EQ(wrapped("", 4, long_word + " and twenty further letters"),
            "    " + long_word + " and twenty\n    further letters\n");
  EXPECT_EQ(wrapped("", 0, std::string(200, 'y')), std::string(200, 'y') + "\n");
  EXPECT_EQ(wrapped("", 0, ""), "\n");
}

}  // namespace
}  // namespace fathom::cli
