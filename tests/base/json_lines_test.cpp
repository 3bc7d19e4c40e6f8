#include "base/json_lines.h"

#include <gtest/gtest.h>

#include <vector>

namespace fathom {
namespace {

TEST(JsonLines, AreReadInOrderWithoutEmptyOnes) {
  std::vector<int> read;
  const Status done =
      read_json_lines("{\"n\": 1}\r\n\n  \t\n{\"n\": 2}", "t", [&](const nlohmann::json& object) {
        read.push_back(object["n"].get<int>());
        return Status();
      });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(read, (std::vector{1, 2}));
}

TEST(JsonLines, NameTheLineThatIsWrong) {
  const auto accept = [](const nlohmann::json&) { return Status(); };
  for (const char* line : {"{\"n\": 1", "[1]", "words", "{\"n\": 1} {}"}) {
    const Status done = read_json_lines(fmt::format("{{}}\n\n{}\n", line), "day.jsonl", accept);
    ASSERT_FALSE(done) << line;
    EXPECT_TRUE(done.error().message.starts_with("day.jsonl, line 3: ")) << done.error().message;
    EXPECT_TRUE(done.error().message.ends_with('.'));
    EXPECT_EQ(done.error().kind, ErrorKind::kFailed);
  }
  const Status refused = read_json_lines(
      "{}\n", "day.jsonl", [](const nlohmann::json&) -> Status { return fail("no \"at\""); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "day.jsonl, line 1: no \"at\".");
}

}  // namespace
}  // namespace fathom
