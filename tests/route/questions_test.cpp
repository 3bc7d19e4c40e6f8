#include "route/questions.h"

#include <gtest/gtest.h>

namespace fathom::route {
namespace {

TEST(RouteQuestions, AreReadLineByLine) {
  const auto read = parse_questions(
      "{\"prompt\": \"2 + 2?\", \"answer\": \"4\"}\n\n"
      "{\"messages\": [{\"role\": \"system\", \"content\": \"Brief.\"}, {\"role\": \"user\", "
      "\"content\": \"Hi\"}], \"answer\": [\"hello\", \"hi\"]}\r\n"
      "{\"prompt\": \"A poem\", \"preferred\": \"tie\"}",
      "q.jsonl");
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 3U);
  EXPECT_EQ((*read)[0].messages[0].role, "user");
  EXPECT_EQ((*read)[0].answers, std::vector<std::string>{"4"});
  EXPECT_EQ((*read)[1].messages.size(), 2U);
  EXPECT_EQ((*read)[1].answers.size(), 2U);
  EXPECT_EQ((*read)[2].preferred, Preferred::kTie);
}

TEST(RouteQuestions, SayWhichLineIsWrong) {
  for (const char* line :
       {"{", "[]", R"({"prompt": "x"})", R"({"answer": "x"})", R"({"prompt": 1, "answer": "x"})",
        R"({"prompt": "x", "answer": "x", "preferred": "v1"})",
        R"({"prompt": "x", "messages": [], "answer": "x"})", R"({"messages": [], "answer": "x"})",
        R"({"messages": [{"role": "user"}], "answer": "x"})", R"({"prompt": "x", "answer": []})",
        R"({"prompt": "x", "answer": [1]})", R"({"prompt": "x", "preferred": "both"})",
        R"({"prompt": "x", "answer": "y", "colour": 1})"}) {
    const auto read =
        parse_questions(std::string("{\"prompt\": \"a\", \"answer\": \"b\"}\n") + line, "q.jsonl");
    ASSERT_FALSE(read) << line;
    EXPECT_NE(read.error().message.find("q.jsonl, line 2"), std::string::npos)
        << read.error().message;
  }
  EXPECT_FALSE(parse_questions("\n \n", "q.jsonl"));
}

TEST(RouteScore, OfTheFractionOfSharedWordsIsSquadsF1) {
  // Two of three given words are among two right ones: precision 2/3, recall 1.
  EXPECT_NEAR(score(Scoring::kF1, "in Paris, France", {"the Paris; France!"}), 0.8, 1e-12);
  EXPECT_EQ(score(Scoring::kF1, "Rome", {"Paris"}), 0);
  EXPECT_EQ(score(Scoring::kF1, "", {"Paris"}), 0);
  EXPECT_NEAR(score(Scoring::kF1, "b b", {"b"}), 2.0 / 3, 1e-12) << "a word counts once";
}

TEST(RouteScore, ExactAndContainedAnswersIgnoreCaseAndPunctuation) {
  EXPECT_EQ(score(Scoring::kExact, " The PARIS.", {"London", "paris"}), 1);
  EXPECT_EQ(score(Scoring::kExact, "It is Paris", {"paris"}), 0);
  EXPECT_EQ(score(Scoring::kContains, "It is Paris.", {"paris"}), 1);
  EXPECT_EQ(score(Scoring::kContains, "It is Parisian.", {"paris"}), 0);
  EXPECT_EQ(score(Scoring::kContains, "anything", {"..."}), 0);
  EXPECT_EQ(score(Scoring::kContains, "北京 是首都", {"北京"}), 1);
}

}  // namespace
}  // namespace fathom::route
