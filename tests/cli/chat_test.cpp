#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

using nlohmann::json;

std::vector<std::string> chat_command(const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {
      "chat", "-m", endless_model(), "--max-tokens", "16", "--temperature", "0"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::vector<json> json_answers(const std::string& input,
                               const std::vector<std::string>& more = {}) {
  auto arguments = chat_command(more);
  arguments.push_back("--json");
  const Finished finished = run(arguments, input);
  EXPECT_EQ(finished.code, 0) << finished.err;
  std::vector<json> answers;
  std::istringstream lines(finished.out);
  for (std::string line; std::getline(lines, line);) answers.push_back(json::parse(line));
  return answers;
}

TEST(Chat, AnswersEachLineOfAPipeAndPrintsNothingElse) {
  const auto answers = json_answers("Hello\nAnd now?\n");
  ASSERT_EQ(answers.size(), 2U);
  const Finished finished = run(chat_command(), "Hello\nAnd now?\n");
  EXPECT_EQ(finished.code, 0);
  EXPECT_EQ(finished.err, "");
  std::string expected;
  for (const auto& answer : answers) {
    const auto text = answer.at("text").get<std::string>();
    expected += text + (text.ends_with('\n') ? "" : "\n");
  }
  EXPECT_EQ(finished.out, expected);
}

TEST(Chat, RemembersWhatWasSaidAndComputesOnlyWhatIsNew) {
  const auto answers = json_answers("Hello\nAnd now?\n");
  ASSERT_EQ(answers.size(), 2U);
  const int first = answers[0].at("prompt_tokens");
  const int second = answers[1].at("prompt_tokens");
  EXPECT_GE(second, first + 16);
  EXPECT_GE(answers[1].at("cached_tokens"), first);
  // The first answer alone equals that of `run`.
  const Finished alone = run({"run", "-m", endless_model(), "--max-tokens", "16", "--temperature",
                              "0", "--json", "Hello"});
  EXPECT_EQ(json::parse(alone.out).at("tokens"), answers[0].at("tokens"));
}

TEST(Chat, ResetForgetsTheConversation) {
  const auto answers = json_answers("Hello\n/reset\nHello\n");
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].at("prompt_tokens"), answers[1].at("prompt_tokens"));
  EXPECT_EQ(answers[0].at("tokens"), answers[1].at("tokens"));
}

TEST(Chat, RegenerateAnswersTheLastLineAgainInPlaceOfTheOldAnswer) {
  const auto answers =
      json_answers("Hello\n/regenerate\nMore\n", {"--temperature", "1", "--seed", "1"});
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].at("prompt_tokens"), answers[1].at("prompt_tokens"));
  EXPECT_NE(answers[0].at("tokens"), answers[1].at("tokens"));
  // One question and one answer stand before the last line, not two.
  EXPECT_LT(answers[2].at("prompt_tokens"), answers[0].at("prompt_tokens").get<int>() + 16 + 30);
}

TEST(Chat, SystemSetsTheSystemMessageAndBeginsAnew) {
  const auto set_inside = json_answers("Hello\n/system Be brief.\nHello\n");
  const auto set_before = json_answers("Hello\n", {"--system", "Be brief."});
  ASSERT_EQ(set_inside.size(), 2U);
  ASSERT_EQ(set_before.size(), 1U);
  EXPECT_EQ(set_inside[1].at("tokens"), set_before[0].at("tokens"));
  EXPECT_EQ(set_inside[1].at("prompt_tokens"), set_before[0].at("prompt_tokens"));
}

TEST(Chat, ALineThatEndsInABackslashGoesOnInTheNext) {
  const auto one = json_answers("Hello\\\nthere\n");
  const auto two = json_answers("Hello\nthere\n");
  EXPECT_EQ(one.size(), 1U);
  EXPECT_EQ(two.size(), 2U);
}

TEST(Chat, TheLastLineNeedsNoLineEndAndBlankLinesAreNoQuestions) {
  EXPECT_EQ(json_answers("\n  \nHello").size(), 1U);
}

TEST(Chat, ExitEndsItBeforeTheRest) {
  EXPECT_EQ(json_answers("Hello\n/exit\nHello\n").size(), 1U);
}

TEST(Chat, HelpListsTheCommands) {
  const Finished finished = run(chat_command(), "/help\n");
  EXPECT_EQ(finished.code, 0);
  EXPECT_EQ(finished.out, "");
  for (const char* command : {"/help", "/reset", "/regenerate", "/system", "/exit"}) {
    EXPECT_NE(finished.err.find(command), std::string::npos) << command;
  }
}

TEST(Chat, AnUnknownCommandFailsInAPipeAndIsExplainedOnATerminal) {
  const Finished piped = run(chat_command(), "/frobnicate\nHello\n");
  EXPECT_EQ(piped.code, 1);
  EXPECT_NE(piped.err.find("/frobnicate"), std::string::npos);

  Process process(chat_command(), {.terminal = true});
  process.write("/frobnicate\n");
  ASSERT_TRUE(process.wait_for("There is no command /frobnicate")) << process.out();
  process.write("/exit\n");
  EXPECT_EQ(process.finish().code, 0);
}

TEST(Chat, RawContinuesTheTextSoFar) {
  const auto answers = json_answers("Once\nThen\n", {"--raw"});
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[0].at("prompt_tokens"), 4);
  EXPECT_GE(answers[1].at("prompt_tokens"), 4 + 4);
}

TEST(Chat, CtrlCStopsTheAnswerNotTheChat) {
  Process process({"chat", "-m", endless_model(), "--seed", "1"});
  process.write("Hello\n");
  ASSERT_TRUE(process.wait_for("a")) << process.out();
  process.signal(SIGINT);
  process.write("/system Be brief.\n/system\n/exit\n");
  const Finished finished = process.finish();
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_NE(finished.err.find("Be brief."), std::string::npos) << finished.err;
}

TEST(Chat, CtrlCAtThePromptDoesNotEndTheChat) {
  Process process(chat_command(), {.terminal = true});
  ASSERT_TRUE(process.wait_for("> ")) << process.out();
  process.signal(SIGINT);
  ASSERT_TRUE(process.wait_for("ends the chat.)")) << process.out();
  process.write("/exit\n");
  EXPECT_EQ(process.finish().code, 0);
}

TEST(Chat, CtrlDEndsTheChat) {
  Process process(chat_command(), {.terminal = true});
  ASSERT_TRUE(process.wait_for("> ")) << process.out();
  process.write("\x04");
  EXPECT_EQ(process.finish().code, 0);
}

TEST(Chat, AFullContextIsExplainedAndTheChatGoesOnAfterReset) {
  Process process({"chat", "-m", endless_model(), "--context", "64"}, {.terminal = true});
  ASSERT_TRUE(process.wait_for("> "));
  process.write("Hello\n");
  ASSERT_TRUE(process.wait_for("The context is full")) << process.out();
  process.write("Hello again\n");
  ASSERT_TRUE(process.wait_for("fathom: The prompt has")) << process.out();
  process.write("/reset\n");
  ASSERT_TRUE(process.wait_for("begins anew.)")) << process.out();
  process.write("/exit\n");
  EXPECT_EQ(process.finish().code, 0);
}

}  // namespace
}  // namespace fathom::test
