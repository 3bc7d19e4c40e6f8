#include "loadtest/answer_events.h"

#include <gtest/gtest.h>

#include "loadtest/sse_reader.h"

namespace fathom::loadtest {
namespace {

std::vector<std::string> events(const std::vector<std::string>& pieces) {
  SseReader reader;
  std::vector<std::string> all;
  for (const std::string& piece : pieces) {
    EXPECT_TRUE(reader.feed(piece, [&](std::string_view data) { all.emplace_back(data); }));
  }
  return all;
}

using Texts = std::vector<std::string>;

// The examples of the standard, WHATWG HTML 9.2.6.
TEST(SseReader, ReadsEventsAsTheStandardHasThem) {
  EXPECT_EQ(events({"data: YHOO\ndata: +2\ndata: 10\n\n"}), Texts{"YHOO\n+2\n10"});
  EXPECT_EQ(events({": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
                    "data:  third event\n\n"}),
            (Texts{"first event", "second event", " third event"}));
  EXPECT_EQ(events({"data\n\ndata\ndata\n\ndata:"}), (Texts{"", "\n"}));
  EXPECT_EQ(events({"data:test\n\ndata: test\n\n"}), (Texts{"test", "test"}));
}

TEST(SseReader, DoesNotCareWherePiecesAreCutNorHowLinesEnd) {
  const std::string unix_lines = "event: x\ndata: {\"a\": 1}\n\ndata: b\n\n";
  std::string dos_lines;
  for (const char c : unix_lines) dos_lines += c == '\n' ? "\r\n" : std::string(1, c);
  const Texts expected = {"{\"a\": 1}", "b"};
  for (const std::string& text : {unix_lines, dos_lines}) {
    for (size_t cut = 0; cut <= text.size(); ++cut) {
      EXPECT_EQ(events({text.substr(0, cut), text.substr(cut)}), expected) << cut;
    }
  }
}

TEST(SseReader, RefusesAnEventWithoutEnd) {
  SseReader reader;
  bool fits = true;
  for (int i = 0; i < 5 && fits; ++i) {
    fits = reader.feed(std::string(1U << 20, 'x'), [](std::string_view) {});
  }
  EXPECT_FALSE(fits);
}

TEST(AnswerEvents, CountTextReasoningAndToolCallsButNotEmptyDeltas) {
  AnswerEvents answer;
  double now = 0;
  for (const char* delta :
       {R"({"role": "assistant", "content": ""})", R"({"content": "a"})", R"({"content": null})",
        R"({"reasoning_content": "b"})", R"({"tool_calls": [{"index": 0}]})", "{}"}) {
    EXPECT_TRUE(
        answer.feed(std::string("data: {\"choices\": [{\"delta\": ") + delta + "}]}\n\n", ++now));
  }
  EXPECT_TRUE(answer.feed(
      "data: {\"choices\": [{\"text\": \"c\", \"finish_reason\": \"stop\"}]}\n\n", ++now));
  EXPECT_EQ(answer.arrivals, (std::vector<double>{2, 4, 5, 7}));
  EXPECT_TRUE(answer.finished);
  EXPECT_FALSE(answer.done);
  EXPECT_TRUE(answer.feed("data: [DONE]\n\ndata: not read any more\n\n", ++now));
  EXPECT_TRUE(answer.done);
}

}  // namespace
}  // namespace fathom::loadtest
