#include "evaluate/task_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "cli/tiny_model.h"

namespace fathom {
namespace {

class TaskFileTest : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    const auto path = folder_.path() / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  test::TemporaryDirectory folder_;
};

constexpr const char* kRivers = R"({"name": "rivers", "type": "generate", "data": "rows.jsonl",
  "prompt": "Q: {q}", "answer": "a", "max_tokens": 7, "stop": ["\n"], "chat": false})";

TEST_F(TaskFileTest, ReadsOpenQuestionsWithOneAnswerOrSeveral) {
  file("rows.jsonl",
       "{\"q\": \"Paris?\", \"a\": [\"Seine\", \"the Seine\"]}\n"
       "{\"q\": \"2 + 2\", \"a\": 4}\n");
  const auto read = read_task_file(file("task.json", kRivers));
  ASSERT_TRUE(read) << read.error().message;
  const auto& task = std::get<GenerationTask>(*read);
  ASSERT_EQ(task.questions.size(), 2U);
  EXPECT_EQ(task.questions[0].asked.prompt, "Q: Paris?");
  EXPECT_EQ(task.questions[0].asked.max_tokens, 7);
  EXPECT_EQ(task.questions[0].asked.stop, std::vector<std::string>{"\n"});
  EXPECT_FALSE(task.questions[0].asked.chat);
  EXPECT_EQ(task.questions[0].accepted.size(), 2U);
  EXPECT_EQ(task.questions[1].accepted, std::vector<std::string>{"4"});
}

TEST_F(TaskFileTest, NamesWhatIsMissingOrWrong) {
  file("rows.jsonl", "{\"q\": \"Paris?\", \"a\": []}\n");
  const std::pair<const char*, const char*> cases[] = {
      {R"({"name": "x", "type": "essay"})", "\"generate\""},
      {R"({"name": "x", "type": 1})", "\"generate\""},
      {R"({"name": "x", "type": "generate", "choices": []})", "choices"},
      {R"({"name": "x", "type": "generate", "data": "rows.jsonl", "prompt": "p"})", "answer"},
      {R"({"name": "x", "type": "generate", "data": "rows.jsonl", "answer": "a"})", "prompt"},
      {R"({"name": "x", "type": "generate", "data": "rows.jsonl", "prompt": "p", "answer": "a",
           "max_tokens": 0})",
       "max_tokens"},
      {R"({"name": "x", "type": "generate", "data": "rows.jsonl", "prompt": "p", "answer": "a",
           "stop": [""]})",
       "stop"},
      {R"({"name": "x", "type": "generate", "data": "rows.jsonl", "prompt": "p", "answer": "b"})",
       "line 1"},
      {kRivers, "no answer"},
  };
  for (const auto& [text, word] : cases) {
    const auto read = read_task_file(file("task.json", text));
    ASSERT_FALSE(read) << text;
    EXPECT_NE(read.error().message.find(word), std::string::npos) << read.error().message;
  }
}

TEST(CountAnswers, TakesTheBestOfWhatIsAccepted) {
  GenerationTask task{.name = "rivers", .questions = {}};
  task.questions.push_back({.asked = {}, .accepted = {"Danube", "the river Seine"}});
  task.questions.push_back({.asked = {}, .accepted = {"4"}});
  const CountedAnswers counted = count_answers(task, std::vector<std::string>{"The Seine!", "4."});
  const auto measured = measure(counted.task, counted.outcomes);
  ASSERT_EQ(measured.size(), 2U);
  EXPECT_EQ(measured[0].name, "em");
  EXPECT_NEAR(measured[0].value, 0.5, 1e-12);
  // One word of one is right, of two that were to be found: 2/3.
  EXPECT_NEAR(measured[1].value, (2.0 / 3 + 1) / 2, 1e-12);
}

TEST(LocalAnswerer, ContinuesTextsAndAnswersChatsAsASessionDoes) {
  auto model = Model::load(test::talking_model(), {.threads = 1, .on_progress = {}});
  ASSERT_TRUE(model) << model.error().message;
  const auto answerer = make_answerer(*model);
  std::vector<OpenQuestion> questions;
  for (const bool chat : {true, false}) {
    for (const char* prompt : {"the quick fox", "and the dog"}) {
      questions.push_back({.prompt = prompt, .chat = chat, .max_tokens = 6});
    }
  }
  const auto found = answerer->generate(questions, {});
  ASSERT_TRUE(found) << found.error().message;
  GenerateOptions options;
  options.max_tokens = 6;
  options.sampling.temperature = 0;
  for (size_t i = 0; i < questions.size(); ++i) {
    Session session(*model);
    const auto alone = questions[i].chat ? session.chat({{"user", questions[i].prompt}}, options)
                                         : session.complete(questions[i].prompt, options);
    ASSERT_TRUE(alone) << alone.error().message;
    EXPECT_EQ((*found)[i], alone->text);
  }
  EXPECT_FALSE(answerer->generate(questions, [](size_t) { return false; }));
}

}  // namespace
}  // namespace fathom
