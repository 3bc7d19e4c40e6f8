#include "engine/stop_filter.h"

#include <gtest/gtest.h>

namespace fathom {
namespace {

// The whole answer, when `text` comes in pieces of `size` bytes.
std::string filtered(const std::vector<std::string>& stops, const std::string& text, size_t size,
                     bool* stopped = nullptr) {
  StopFilter filter(stops);
  std::string out;
  for (size_t i = 0; i < text.size(); i += size) out += filter.push(text.substr(i, size));
  if (stopped != nullptr) *stopped = filter.stopped();
  return out + filter.finish();
}

TEST(StopFilter, EndsBeforeTheStopStringHoweverTheTextIsCut) {
  const std::string text = "One.\n\nUser: two\n\nUser: three";
  for (size_t size = 1; size <= text.size(); ++size) {
    bool stopped = false;
    EXPECT_EQ(filtered({"\n\nUser:", "zzz"}, text, size, &stopped), "One.") << size;
    EXPECT_TRUE(stopped);
  }
}

TEST(StopFilter, ReturnsTextAtOnceThatCannotBeginAStopString) {
  StopFilter filter({"\nUser"});
  EXPECT_EQ(filter.push("Hello"), "Hello");
  EXPECT_EQ(filter.push(", you\nUs"), ", you");
  EXPECT_EQ(filter.push("e it"), "\nUse it");
  EXPECT_FALSE(filter.stopped());
}

TEST(StopFilter, FindsAStopStringWhoseBeginningRepeatsItself) {
  for (size_t size = 1; size <= 7; ++size) {
    EXPECT_EQ(filtered({"aab"}, "xaaaaab", size), "xaaa") << size;
  }
}

TEST(StopFilter, TheStopStringThatIsCompleteFirstWins) {
  for (size_t size = 1; size <= 6; ++size) {
    EXPECT_EQ(filtered({"abcd", "bc"}, "-abcd-", size), "-a") << size;
    EXPECT_EQ(filtered({"bc", "abc"}, "-abcd-", size), "-") << size;
  }
}

TEST(StopFilter, GivesBackWhatItHeldWhenTheAnswerEnds) {
  StopFilter filter({"<end>"});
  EXPECT_EQ(filter.push("a <en"), "a ");
  EXPECT_EQ(filter.finish(), "<en");
}

TEST(StopFilter, SaysNothingAfterTheStop) {
  StopFilter filter({"."});
  EXPECT_EQ(filter.push("a.b"), "a");
  EXPECT_EQ(filter.push("c"), "");
  EXPECT_EQ(filter.finish(), "");
}

TEST(StopFilter, WithoutStopStringsEverythingPasses) {
  bool stopped = true;
  EXPECT_EQ(filtered({}, "text", 1, &stopped), "text");
  EXPECT_FALSE(stopped);
  EXPECT_EQ(filtered({""}, "text", 2, &stopped), "text");
  EXPECT_FALSE(stopped);
}

}  // namespace
}  // namespace fathom
