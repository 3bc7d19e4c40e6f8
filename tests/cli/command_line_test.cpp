// What holds for every command: exit codes, messages, and behaviour towards pipes and full disks.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

using Arguments = std::vector<std::string>;

int lines(const std::string& text) {
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

TEST(CommandLine, HelpExplainsEveryCommandWithExamples) {
  const Finished all = run({"--help"});
  EXPECT_EQ(all.code, 0);
  for (const char* command : {"run", "chat", "inspect", "tokenize", "logits", "bench", "pull"}) {
    EXPECT_NE(all.out.find(command), std::string::npos) << command;
    const Finished one = run({command, "--help"});
    EXPECT_EQ(one.code, 0) << command;
    EXPECT_NE(one.out.find("fathom " + std::string(command)), std::string::npos) << one.out;
    EXPECT_EQ(one.err, "");
  }
}

TEST(CommandLine, HelpIsACommandToo) {
  EXPECT_EQ(run({"help"}).out, run({"--help"}).out);
  EXPECT_EQ(run({"help", "plan"}).out, run({"plan", "--help"}).out);
  EXPECT_EQ(run({"help", "eval", "ppl"}).out, run({"eval", "ppl", "--help"}).out);
  const Finished unknown = run({"help", "frobnicate"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.err.find("frobnicate"), std::string::npos) << unknown.err;
}

TEST(CommandLine, HelpOfACommandIsAboutThatCommand) {
  for (const Arguments& command : std::vector<Arguments>{{"eval"},
                                                         {"keys"},
                                                         {"keys", "create"},
                                                         {"usage"},
                                                         {"route"},
                                                         {"lora"},
                                                         {"eval", "captions"},
                                                         {"plan"}}) {
    Arguments arguments = command;
    arguments.emplace_back("--help");
    const Finished help = run(arguments);
    EXPECT_EQ(help.code, 0) << command.back();
    EXPECT_EQ(help.out.find("fathom run"), std::string::npos) << help.out;
    // --fit goes with few other flags of plan; a list of the others is no help.
    EXPECT_EQ(help.out.find("Excludes"), std::string::npos) << help.out;
  }
}

TEST(CommandLine, VersionIsOneLine) {
  const Finished finished = run({"--version"});
  EXPECT_EQ(finished.code, 0);
  EXPECT_TRUE(finished.out.starts_with("fathom ")) << finished.out;
  EXPECT_EQ(lines(finished.out), 1);
}

TEST(CommandLine, WithoutACommandItIsWrongUsage) {
  const Finished finished = run({});
  EXPECT_EQ(finished.code, 2);
  EXPECT_EQ(finished.out, "");
  EXPECT_NE(finished.err.find("run"), std::string::npos);
}

struct Wrong {
  Arguments arguments;
  std::string names;  // what the message must name
};

TEST(CommandLine, WrongUsageIsExitCodeTwoAndSaysWhatIsWrong) {
  const std::string model = talking_model();
  const std::vector<Wrong> wrong = {
      {{"frobnicate"}, "frobnicate"},
      {{"run", "--frobnicate", "hello"}, "--frobnicate"},
      {{"run", "-m", model, "hello", "world"}, "world"},
      {{"run", "-m"}, "--model"},
      {{"serve", "-m", model, "--requests-per-minute", "5"}, "--auth"},
      {{"serve", "-m", model, "-m", model}, "NAME=MODEL"},
      {{"serve", "-m", "a=" + model, "-m", "b=" + model, "--name", "c"}, "--name"},
      {{"serve", "-m", "a="}, "names no model"},
      {{"serve", "-m", model, "--auth", "--tokens-per-minute", "-5"}, "--tokens-per-minute"},
      {{"serve", "-m", model, "--speculate", ""}, "--speculate"},
      {{"serve", "-m", model, "--draft-tokens", "3"}, "--draft-tokens"},
      {{"serve", "-m", model, "--draft", "lookup", "--draft-tokens", "17"}, "--draft-tokens"},
      {{"serve", "-m", "lite=" + model, "--draft", "lite", "--no-ledger"}, "itself"},
      {{"serve", "-m", model, "--name", ""}, "--name"},
      {{"serve", "-m", model, "--cors-origin", "example.org"}, "--cors-origin"},
      {{"serve", "-m", model, "--cors-origin", "https://example.org/"}, "--cors-origin"},
      {{"loadtest", "http://127.0.0.1:1", "--sessions", "0"}, "--sessions"},
      {{"loadtest", "http://127.0.0.1:1", "--rate", "0.0"}, "--rate"},
      {{"loadtest", "http://127.0.0.1:1", "--requests", "0"}, "--requests"},
      {{"loadtest", "http://127.0.0.1:1", "--duration", "0"}, "--duration"},
      {{"keys", "create", "a", "--max-concurrent", "-1"}, "--max-concurrent"},
      {{"keys", "create", "a", "--priority", "urgent"}, "--priority"},
      {{"serve", "--log", "none", "--log-prompts"}, "--log-prompts"},
      {{"run", "-m", model, ""}, "prompt"},
      {{"run", "-m", model, "--threads", "-1", "x"}, "--threads"},
      {{"run", "-m", model, "--threads", "1000000", "x"}, "--threads"},
      {{"run", "-m", model, "--threads", "two", "x"}, "--threads"},
      {{"run", "-m", model, "--threads", "2.5", "x"}, "--threads"},
      {{"run", "-m", model, "--context", "-5", "x"}, "--context"},
      {{"run", "-m", model, "--context", "99999999999", "x"}, "--context"},
      {{"run", "-m", model, "--context", "9999999999999999999999", "x"}, "--context"},
      {{"run", "-m", model, "--max-tokens", "0", "x"}, "--max-tokens"},
      {{"run", "-m", model, "--temperature", "-1", "x"}, "--temperature"},
      {{"run", "-m", model, "--temperature", "nan", "x"}, "--temperature"},
      {{"run", "-m", model, "--temperature", "warm", "x"}, "--temperature"},
      {{"run", "-m", model, "--top-k", "-1", "x"}, "--top-k"},
      {{"run", "-m", model, "--top-p", "0", "x"}, "--top-p"},
      {{"run", "-m", model, "--top-p", "1.5", "x"}, "--top-p"},
      {{"run", "-m", model, "--min-p", "-0.1", "x"}, "--min-p"},
      {{"run", "-m", model, "--repeat-penalty", "0", "x"}, "--repeat-penalty"},
      {{"run", "-m", model, "--presence-penalty", "inf", "x"}, "--presence-penalty"},
      {{"run", "-m", model, "--frequency-penalty", "nan", "x"}, "--frequency-penalty"},
      {{"run", "-m", model, "--seed", "-1", "x"}, "--seed"},
      {{"run", "-m", model, "--seed", "18446744073709551616", "x"}, "--seed"},
      {{"run", "-m", model, "--stop", "", "x"}, "--stop"},
      {{"run", "-m", model, "--kernels", "cuda", "x"}, "--kernels"},
      {{"run", "-m", model, "--kv-cache", "q4", "x"}, "--kv-cache"},
      {{"bench", "-m", model, "--kv-cache", ""}, "--kv-cache"},
      {{"run", "-m", model, "--raw", "--system", "Be brief.", "x"}, "--system"},
      {{"logits", model}, "--tokens"},
      {{"logits", model, "--tokens", ""}, "--tokens"},
      {{"logits", model, "--tokens", "1,,2"}, "1,,2"},
      {{"logits", model, "--tokens", "1,2,"}, "1,2,"},
      {{"logits", model, "--tokens", "1;2"}, "1;2"},
      {{"logits", model, "--tokens", "one"}, "one"},
      {{"logits", model, "-m", model, "--tokens", "1"}, "twice"},
      {{"inspect", model, "--context", "-1"}, "--context"},
      {{"tokenize"}, "text"},
      {{"tokenize", model}, "text"},
      {{"tokenize", model, "x", "--special", "maybe"}, "--special"},
      {{"bench", "-m", model, "--batch", "0"}, "--batch"},
      {{"bench", "-m", model, "--batch", "1,x"}, "--batch"},
      {{"bench", "-m", model, "--prefill", "0", "--decode", "0"}, "--decode"},
      {{"bench", "-m", model, "--decode", "-1"}, "--decode"},
  };
  for (const auto& [arguments, names] : wrong) {
    std::string command;
    for (const auto& argument : arguments) command += argument + " ";
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.code, 2) << command << "\n" << finished.err;
    EXPECT_EQ(finished.out, "") << command;
    EXPECT_TRUE(finished.err.starts_with("fathom: ")) << command << "\n" << finished.err;
    EXPECT_NE(finished.err.find(names), std::string::npos) << command << "\n" << finished.err;
    EXPECT_LE(lines(finished.err), 2) << finished.err;
  }
}

TEST(CommandLine, AModelThatIsNotThereIsExitCodeOneForEveryCommand) {
  const std::string missing = "/nonexistent/model.gguf";
  const std::vector<Arguments> commands = {{"run", "-m", missing, "hello"},
                                           {"chat", "-m", missing},
                                           {"inspect", missing},
                                           {"inspect", "-m", missing},
                                           {"tokenize", missing, "hello"},
                                           {"tokenize", "-m", missing, "hello"},
                                           {"logits", missing, "--tokens", "1"},
                                           {"bench", "-m", missing}};
  for (const auto& arguments : commands) {
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.code, 1) << arguments[0];
    EXPECT_EQ(finished.out, "") << arguments[0];
    EXPECT_NE(finished.err.find(missing), std::string::npos) << finished.err;
  }
}

TEST(CommandLine, WithoutTheDefaultModelItSaysHowToGetIt) {
  const TemporaryDirectory cache;
  const Finished finished =
      run({"run", "hello"}, {}, {.environment = {"XDG_CACHE_HOME=" + cache.path().string()}});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("fathom pull default"), std::string::npos) << finished.err;
}

TEST(CommandLine, AModelThatIsAFileNeedsNoHome) {
  const Process::Options homeless{.environment = {"HOME=", "XDG_CACHE_HOME="}};
  const std::string model = talking_model();
  for (const Arguments& arguments : std::vector<Arguments>{
           {"run", "-m", model, "--max-tokens", "3", "hello"}, {"inspect", model}}) {
    const Finished finished = run(arguments, {}, homeless);
    EXPECT_EQ(finished.code, 0) << finished.err;
    EXPECT_EQ(finished.err, "");
  }
  const Finished nameless = run({"run", "hello"}, {}, homeless);
  EXPECT_EQ(nameless.code, 1);
  EXPECT_NE(nameless.err.find("HOME"), std::string::npos) << nameless.err;
}

TEST(CommandLine, ADatabaseThatIsOnlyReadIsNotMade) {
  const TemporaryDirectory folder;
  const std::string database = folder.path() / "serve.db";
  for (const Arguments& command : std::vector<Arguments>{
           {"usage"}, {"keys", "list"}, {"keys", "revoke", "alice"}, {"keys", "limit", "alice"}}) {
    Arguments arguments = command;
    arguments.insert(arguments.end(), {"--database", database});
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.code, 1) << command.back();
    EXPECT_NE(finished.err.find("There is no database"), std::string::npos) << finished.err;
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_EQ(run({"keys", "create", "alice", "--database", database}).code, 0);
  EXPECT_NE(run({"keys", "list", "--database", database}).out.find("alice"), std::string::npos);
}

TEST(CommandLine, AFileThatIsNoModelIsRefused) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "letter.gguf";
  std::ofstream(path) << "Dear Sir or Madam, this is not a model. Yours, A. Nonymous";
  const Finished finished = run({"inspect", path.string()});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("letter.gguf"), std::string::npos) << finished.err;
}

TEST(CommandLine, AnEmptyDirectoryIsRefused) {
  const TemporaryDirectory directory;
  const Finished finished = run({"inspect", directory.path().string()});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find(directory.path().string()), std::string::npos) << finished.err;
}

TEST(CommandLine, ADirectoryWithoutPermissionIsRefused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read every directory";
  const TemporaryDirectory directory;
  const auto closed = directory.path() / "closed";
  std::filesystem::create_directory(closed);
  ASSERT_EQ(::chmod(closed.c_str(), 0), 0);
  const Finished finished = run({"inspect", closed.string()});
  ASSERT_EQ(::chmod(closed.c_str(), 0700), 0);
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("ermission"), std::string::npos) << finished.err;
}

TEST(CommandLine, AFullDiskUnderTheOutputIsAnError) {
  const std::string model = talking_model();
  const std::vector<Arguments> commands = {{"--help"},
                                           {"--version"},
                                           {"inspect", model},
                                           {"tokenize", model, "hello"},
                                           {"logits", model, "--tokens", "1,2"},
                                           {"run", "-m", model, "--max-tokens", "5", "hello"},
                                           {"run", "-m", model, "--json", "hello"}};
  for (const auto& arguments : commands) {
    const Finished finished = run(arguments, {}, {.output_file = "/dev/full"});
    EXPECT_EQ(finished.code, 1) << arguments[0];
    EXPECT_NE(finished.err.find("No space left"), std::string::npos) << finished.err;
  }
}

TEST(CommandLine, AReaderThatHasSeenEnoughEndsTheAnswerQuietly) {
  Process process({"run", "-m", endless_model(), "--raw", "--temperature", "2", "hello"});
  EXPECT_TRUE(process.wait_for("a"));
  process.close_output();
  const Finished finished = process.finish();
  EXPECT_EQ(finished.code, 0);
  EXPECT_EQ(finished.err, "");
}

}  // namespace
}  // namespace fathom::test
