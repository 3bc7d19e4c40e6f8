#include "loadtest/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace fathom::loadtest {
namespace {

WorkloadOptions options(uint64_t seed, std::string_view words, int64_t system_words = 0) {
  return {.prompt_words = *Lengths::parse(words, ""),
          .output_tokens = *Lengths::parse("uniform:10-20", ""),
          .system_words = system_words,
          .seed = seed};
}

std::string first_words(const std::string& text, int count) {
  size_t at = 0;
  for (int i = 0; i < count; ++i) at = text.find(' ', at + 1);
  return text.substr(0, at);
}

TEST(Workload, BeginsEveryPromptWithWordsOfItsOwn) {
  const Workload workload(options(11, "48"));
  std::set<std::string> beginnings;
  for (uint64_t i = 0; i < 5000; ++i) {
    const Ask ask = workload.ask(i);
    EXPECT_EQ(std::ranges::count(ask.prompt, ' '), 47);
    beginnings.insert(first_words(ask.prompt, 2));
  }
  EXPECT_EQ(beginnings.size(), 5000U);
}

TEST(Workload, IsTheSameForTheSameSeedAndAnotherForAnother) {
  const Workload a(options(1, "uniform:5-50"));
  const Workload b(options(1, "uniform:5-50"));
  const Workload c(options(2, "uniform:5-50"));
  int same = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_EQ(a.ask(i).prompt, b.ask(i).prompt);
    EXPECT_EQ(a.ask(i).max_tokens, b.ask(i).max_tokens);
    same += a.ask(i).prompt == c.ask(i).prompt ? 1 : 0;
  }
  EXPECT_EQ(same, 0);
}

TEST(Workload, SharesTheSystemPromptAlone) {
  const Workload workload(options(1, "10", 30));
  EXPECT_EQ(std::ranges::count(workload.ask(0).system, ' '), 29);
  EXPECT_EQ(workload.ask(0).system, workload.ask(1).system);
  EXPECT_NE(workload.ask(0).prompt, workload.ask(1).prompt);
}

TEST(Workload, BeginsATraceAgainAfterItsEnd) {
  const Workload workload(options(1, "10"),
                          *parse_trace("{\"prompt\": \"one\", \"max_tokens\": 1}\n"
                                       "{\"prompt_words\": 4, \"max_tokens\": 2}",
                                       "t"));
  EXPECT_EQ(workload.ask(0).prompt, "one");
  EXPECT_EQ(workload.ask(2).prompt, "one");
  EXPECT_EQ(workload.ask(3).max_tokens, 2);
  EXPECT_NE(workload.ask(1).prompt, workload.ask(3).prompt);  // made up anew
}

TEST(Trace, SaysWhichLineIsWrongAndWhy) {
  const std::string good = "{\"prompt\": \"a\", \"max_tokens\": 1}\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{\"prompt\": ", "not usable JSON"},
      {"[1]", "no JSON object"},
      {"{\"prompt\": \"a\"}", "\"max_tokens\" is missing"},
      {"{\"max_tokens\": 3}", "either \"prompt\" or \"prompt_words\""},
      {"{\"prompt\": \"a\", \"prompt_words\": 3, \"max_tokens\": 3}", "either"},
      {"{\"prompt\": \"\", \"max_tokens\": 3}", "\"prompt\" must be a text"},
      {"{\"prompt\": \"a\", \"max_tokens\": 0}", "\"max_tokens\" must be"},
      {"{\"prompt\": \"a\", \"max_tokens\": \"3\"}", "\"max_tokens\" must be"},
      {"{\"prompt\": \"a\", \"max_tokens\": 3, \"at\": -1}", "\"at\" must be"},
      {"{\"prompt\": \"a\", \"max_tokens\": 3, \"at\": 1}", "in all lines or in none"},
      {"{\"prompt\": \"a\", \"max_tokens\": 3, \"colour\": 1}", "\"colour\" is not known"}};
  for (const auto& [line, why] : cases) {
    const auto trace = parse_trace(good + "\n" + line, "day.jsonl");
    ASSERT_FALSE(trace) << line;
    EXPECT_TRUE(trace.error().message.starts_with("day.jsonl, line 3: ")) << trace.error().message;
    EXPECT_NE(trace.error().message.find(why), std::string::npos) << trace.error().message;
  }
  const auto back = parse_trace(
      "{\"prompt\": \"a\", \"max_tokens\": 3, \"at\": 2}\n"
      "{\"prompt\": \"a\", \"max_tokens\": 3, \"at\": 1}\n",
      "t");
  ASSERT_FALSE(back);
  EXPECT_NE(back.error().message.find("before that of the line above"), std::string::npos);
  EXPECT_FALSE(parse_trace("\n \n", "t"));
}

}  // namespace
}  // namespace fathom::loadtest
