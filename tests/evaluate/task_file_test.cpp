#include "evaluate/task_file.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>

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

TEST_F(TaskFileTest, ReadsChoicesAsArcAndMmluHaveThem) {
  file("arc.jsonl", R"({"question": {"stem": "Q1", "choices": [{"text": "x", "label": "1"}, )"
                    R"({"text": "y", "label": "2"}]}, "answerKey": "2"})");
  file("arc_columns.jsonl",
       R"({"question": "Q1", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, )"
       R"("answerKey": "B"})");
  file("mmlu.jsonl", R"({"question": "Q1", "choices": ["x", "y"], "answer": "B"})");
  file("mmlu_index.jsonl", R"({"question": "Q1", "choices": ["x", "y"], "answer": 1})");
  const std::array<std::string, 4> cases[] = {
      {"arc.jsonl", "{question.stem}: ", "question.choices", "answerKey"},
      {"arc_columns.jsonl", "{question}: ", "choices", "answerKey"},
      {"mmlu.jsonl", "{question}: ", "choices", "answer"},
      {"mmlu_index.jsonl", "{question}: ", "choices", "answer"},
  };
  for (const auto& [data, prompt, choices, answer] : cases) {
    const nlohmann::json task = {{"name", "t"},
                                 {"data", data},
                                 {"prompt", prompt},
                                 {"choices", choices},
                                 {"answer", answer}};
    const auto read = read_task_file(file("task.json", task.dump()));
    ASSERT_TRUE(read) << read.error().message;
    const auto& questions = std::get<ChoiceTask>(*read).questions;
    ASSERT_EQ(questions.size(), 1U);
    EXPECT_EQ(questions[0].context, "Q1: ");
    EXPECT_EQ(questions[0].choices, (std::vector<std::string>{" x", " y"})) << data;
    EXPECT_EQ(questions[0].right, 1) << data;
  }
  // The harness asks MMLU so: the answers in the prompt, and of the letters the likeliest.
  const auto lettered =
      read_task_file(file("task.json", R"({"name": "t", "data": "mmlu_index.jsonl",
           "prompt": "{question}\nA. {choices.0}\nB. {choices.1}\nAnswer:",
           "choices": ["A", "B"], "answer": "answer"})"));
  ASSERT_TRUE(lettered) << lettered.error().message;
  const ChoiceQuestion& question = std::get<ChoiceTask>(*lettered).questions[0];
  EXPECT_EQ(question.context, "Q1\nA. x\nB. y\nAnswer:");
  EXPECT_EQ(question.choices, (std::vector<std::string>{" A", " B"}));
  EXPECT_EQ(question.right, 1);
}

TEST_F(TaskFileTest, NamesChoicesThatAreNone) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"c": 1, "a": 0})", "array"},
      {R"({"c": ["x"], "a": 0})", "two answers"},
      {R"({"c": {"text": ["x", "y"], "label": ["A"]}, "a": "A"})", "as many"},
      {R"({"c": {"text": ["x", "y"]}, "a": "A"})", "as many"},
      {R"({"c": [{"text": "x"}, {"text": "y"}], "a": "A"})", "\"label\""},
      {R"({"c": [{"text": "x", "label": "A"}, 2], "a": "A"})", "\"label\""},
      {R"({"c": ["x", "y"], "a": "C"})", "\"C\""},
      {R"({"c": ["x", "y"], "a": 2})", "0 to 1"},
      {R"({"c": ["x", "y"], "b": 2})", "no a"},
  };
  for (const auto& [line, word] : cases) {
    file("rows.jsonl", line);
    const auto read = read_task_file(file(
        "task.json",
        R"({"name": "t", "data": "rows.jsonl", "prompt": "p", "choices": "c", "answer": "a"})"));
    ASSERT_FALSE(read) << line;
    EXPECT_NE(read.error().message.find(word), std::string::npos) << read.error().message;
    EXPECT_NE(read.error().message.find("line 1"), std::string::npos) << read.error().message;
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
