#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

using nlohmann::json;

std::string answer(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"run", "-m", endless_model(), "--max-tokens", "60"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Finished finished = run(arguments);
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(finished.err, "");
  return finished.out;
}

TEST(Run, EqualSeedsGiveEqualTextAndOthersDoNot) {
  const std::string first = answer({"--seed", "1", "Hello"});
  EXPECT_GT(first.size(), 20U);
  EXPECT_EQ(answer({"--seed", "1", "Hello"}), first);
  EXPECT_NE(answer({"--seed", "2", "Hello"}), first);
  EXPECT_NE(answer({"Hello"}), answer({"Hello"}));
}

TEST(Run, NoFlagOfTheAnswerIsIgnored) {
  // Against the same command without the flag, with everything else neutral.
  const std::vector<std::string> base = {"--seed",  "5", "--temperature", "1", "--top-k", "0",
                                         "--top-p", "1", "--min-p",       "0"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = base;
    for (size_t i = 0; i + 1 < more.size(); i += 2) {
      const auto at = std::find(arguments.begin(), arguments.end(), more[i]);
      if (at != arguments.end()) {
        *(at + 1) = more[i + 1];
      } else {
        arguments.insert(arguments.end(), {more[i], more[i + 1]});
      }
    }
    arguments.push_back("Hello");
    return answer(arguments);
  };
  const std::string plain = with({});
  EXPECT_EQ(with({}), plain);
  EXPECT_NE(with({"--temperature", "0.2"}), plain);
  EXPECT_NE(with({"--top-k", "3"}), plain);
  EXPECT_NE(with({"--top-p", "0.3"}), plain);
  EXPECT_NE(with({"--min-p", "0.8"}), plain);
  EXPECT_NE(with({"--repeat-penalty", "3"}), plain);
  EXPECT_NE(with({"--presence-penalty", "5"}), plain);
  EXPECT_NE(with({"--frequency-penalty", "-5"}), plain);
  EXPECT_NE(with({"--seed", "6"}), plain);
  EXPECT_NE(with({"--system", "Speak of something else."}), plain);
  EXPECT_LT(with({"--max-tokens", "7"}).size(), plain.size());
}

TEST(Run, RawContinuesTheBarePrompt) {
  EXPECT_NE(answer({"--temperature", "0", "Hello"}),
            answer({"--temperature", "0", "--raw", "Hello"}));
  // By hand what the template would write gives the same tokens.
  EXPECT_EQ(answer({"--temperature", "0", "Hello"}),
            answer({"--temperature", "0", "--raw", "[user] Hello\n[assistant]"}));
}

TEST(Run, StopEndsTheAnswerBeforeTheString) {
  const std::string whole = answer({"--seed", "3", "--raw", "Hello"});
  ASSERT_GT(whole.size(), 30U);
  const std::string stop = whole.substr(12, 3);
  const std::string cut = whole.substr(0, whole.find(stop));
  EXPECT_EQ(answer({"--seed", "3", "--raw", "--stop", "\x01", "--stop", stop, "Hello"}),
            cut + (cut.ends_with('\n') ? "" : "\n"));
}

TEST(Run, StopStringsInBracketsAreTakenAsTheyStand) {
  const Finished finished = run({"run", "-m", talking_model(), "--json", "--stop", "[a,b]",
                                 "--max-tokens", "5", "--raw", "[user]"});
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(json::parse(finished.out).at("prompt_tokens"), 6);
}

TEST(Run, APromptMayBeNamedLikeACommand) {
  EXPECT_EQ(run({"run", "-m", talking_model(), "--max-tokens", "3", "chat"}).code, 0);
}

TEST(Run, ReadsThePromptFromAPipe) {
  const std::vector<std::string> base = {"run",    "-m", endless_model(), "--max-tokens", "20",
                                         "--seed", "1"};
  const auto with = [&](const std::vector<std::string>& more) {
    auto arguments = base;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const Finished named = run(with({"Hello"}));
  EXPECT_EQ(named.code, 0) << named.err;
  EXPECT_EQ(run(with({}), "Hello\n").out, named.out);
  EXPECT_EQ(run(with({"-"}), "Hello").out, named.out);
  const Finished empty = run(with({}), "");
  EXPECT_EQ(empty.code, 2);
  EXPECT_NE(empty.err.find("prompt is empty"), std::string::npos) << empty.err;
}

TEST(Run, JsonHoldsTheAnswerAndWhatItCost) {
  const Finished finished =
      run({"run", "-m", endless_model(), "--json", "--seed", "9", "--max-tokens", "12", "--context",
           "300", "--threads", "1", "--kernels", "reference", "Hello"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(finished.err, "");
  const json result = json::parse(finished.out);
  EXPECT_EQ(result.at("tokens").size(), 12U);
  EXPECT_EQ(result.at("answer_tokens"), 12);
  EXPECT_EQ(result.at("finish_reason"), "length");
  EXPECT_EQ(result.at("seed"), 9);
  EXPECT_GT(result.at("prompt_tokens"), 5);
  EXPECT_FALSE(result.at("text").get<std::string>().empty());
  EXPECT_GT(result.at("timings").at("time_to_first_token"), 0.0);
  EXPECT_GT(result.at("timings").at("decode_seconds"), 0.0);
  EXPECT_GT(result.at("timings").at("load_seconds"), 0.0);
  EXPECT_GT(result.at("speeds").at("decode_tokens_per_second"), 0.0);
  EXPECT_GT(result.at("speeds").at("prefill_tokens_per_second"), 0.0);
  EXPECT_GT(result.at("peak_memory_bytes"), 100000);
  const json& model = result.at("model");
  EXPECT_EQ(model.at("architecture"), "LlamaForCausalLM");
  EXPECT_EQ(model.at("kernels"), "reference");
  EXPECT_EQ(model.at("threads"), 1);
  EXPECT_EQ(model.at("context"), 300);
  EXPECT_GT(model.at("parameters"), 0);
  EXPECT_GT(model.at("weight_bytes"), 0);
}

TEST(Run, TheSeedThatJsonReportsRepeatsTheAnswer) {
  const auto result = [](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"run",          "-m", endless_model(), "--json",
                                          "--max-tokens", "30", "Hello"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return json::parse(run(arguments).out);
  };
  const json first = result({});
  const json second = result({"--seed", std::to_string(first.at("seed").get<uint64_t>())});
  EXPECT_EQ(first.at("tokens"), second.at("tokens"));
}

TEST(Run, EndsAtTheContextsEnd) {
  const json result =
      json::parse(run({"run", "-m", endless_model(), "--json", "--context", "64", "Hello"}).out);
  EXPECT_EQ(result.at("finish_reason"), "length");
  EXPECT_EQ(result.at("prompt_tokens").get<int>() + result.at("answer_tokens").get<int>(), 64);
}

TEST(Run, APromptLongerThanTheContextIsRefused) {
  const Finished finished =
      run({"run", "-m", talking_model(), "--context", "16", std::string(100, 'a')});
  EXPECT_EQ(finished.code, 1);
  EXPECT_EQ(finished.out, "");
  EXPECT_NE(finished.err.find("context"), std::string::npos) << finished.err;
}

TEST(Run, StatsGoToStandardErrorAndLeaveTheAnswerAlone) {
  const std::vector<std::string> base = {"run",    "-m", endless_model(), "--max-tokens", "20",
                                         "--seed", "1",  "Hello"};
  auto with_stats = base;
  with_stats.push_back("--stats");
  const Finished finished = run(with_stats);
  EXPECT_EQ(finished.out, run(base).out);
  for (const char* fact : {"time to first token", "tokens/s", "peak memory"}) {
    EXPECT_NE(finished.err.find(fact), std::string::npos) << finished.err;
  }
}

TEST(Run, CtrlCEndsTheAnswer) {
  Process process({"run", "-m", endless_model(), "--seed", "1", "Hello"});
  ASSERT_TRUE(process.wait_for("a"));
  process.signal(SIGINT);
  const Finished finished = process.finish();
  EXPECT_EQ(finished.code, 130);
  EXPECT_TRUE(finished.out.ends_with('\n'));
  EXPECT_EQ(finished.err, "");
}

class Thinking : public testing::Test {
 protected:
  void SetUp() override { TinyModel{.thinks = true, .ends = false}.write(directory_.path()); }

  std::vector<std::string> command(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"run",    "-m",     directory_.path().string(),
                                          "--seed", "4",      "--max-tokens",
                                          "40",     "--stop", "</think>"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back("Hello");
    return arguments;
  }

  TemporaryDirectory directory_;
};

TEST_F(Thinking, IsSetApartFromTheAnswerInAPipe) {
  const Finished finished = run(command());
  EXPECT_TRUE(finished.out.starts_with("<think>\n")) << finished.out;
  EXPECT_EQ(finished.out.find('\033'), std::string::npos);
  EXPECT_NE(finished.out.find("</think>"), std::string::npos) << finished.out;
}

TEST_F(Thinking, IsDimmedOnATerminal) {
  const Finished finished = run(command(), {}, {.terminal = true});
  EXPECT_NE(finished.out.find("\033[2m"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("\033[0m"), std::string::npos);
  EXPECT_EQ(finished.out.find("<think>"), std::string::npos);
}

TEST_F(Thinking, IsNotDimmedWithNoColor) {
  const Finished finished = run(command(), {}, {.environment = {"NO_COLOR=1"}, .terminal = true});
  EXPECT_EQ(finished.out.find('\033'), std::string::npos) << finished.out;
}

TEST_F(Thinking, CanBeHidden) {
  const Finished finished = run(command({"--hide-thinking"}));
  EXPECT_EQ(finished.code, 0);
  EXPECT_EQ(finished.out, "");
}

TEST_F(Thinking, IsSeparateInJson) {
  const json result = json::parse(run(command({"--json"})).out);
  EXPECT_FALSE(result.at("reasoning").get<std::string>().empty());
  EXPECT_EQ(result.at("text"), "");
}

TEST(Run, HoldsAnAnswerToAFormat) {
  const TemporaryDirectory directory;
  const auto file = [&](const char* name, const std::string& text) {
    const std::filesystem::path path = directory.path() / name;
    std::ofstream(path) << text;
    return path.string();
  };
  const std::string schema = file("schema.json", R"({"enum": ["yes", "no"]})");
  const std::string grammar = file("grammar.lark", "start: \"<\" start \">\" | \"x\"\n");
  // Bare prompts: in a chat the random model may begin to think, which is free.
  const std::string word = answer({"--raw", "--json-schema", schema, "Hello"});
  EXPECT_TRUE(word == "\"yes\"\n" || word == "\"no\"\n") << word;
  EXPECT_EQ(answer({"--raw", "--regex", "q{7}", "Hello"}), "qqqqqqq\n");
  const std::string brackets =
      answer({"--raw", "--grammar", grammar, "--temperature", "1", "Hello"});
  EXPECT_TRUE(brackets.contains('x') || brackets.starts_with("<<<<")) << brackets;
  // Guesses may not break it.
  EXPECT_EQ(answer({"--raw", "--regex", "q{7}", "--speculate", "lookup", "qqqqqqqq"}), "qqqqqqq\n");
  const auto refused = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"run", "-m", endless_model()});
    more.emplace_back("Hello");
    return run(more);
  };
  EXPECT_NE(refused({"--regex", "a("}).err.find("regular expression"), std::string::npos);
  EXPECT_NE(refused({"--json-schema", "/nowhere.json"}).err.find("/nowhere.json"),
            std::string::npos);
  EXPECT_EQ(refused({"--regex", "a", "--json-schema", schema}).code, 2);
}

TEST(Run, TakesAChatTemplateInPlaceOfTheModels) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "template.jinja";
  std::ofstream(path) << "{% for m in messages %}{{ m.content | upper }}{% endfor %}";
  EXPECT_NE(answer({"--seed", "1", "--chat-template", path.string(), "Hello"}),
            answer({"--seed", "1", "Hello"}));
  std::ofstream(path) << "{% for %}";
  const Finished broken =
      run({"run", "-m", endless_model(), "--chat-template", path.string(), "Hello"});
  EXPECT_EQ(broken.code, 1);
  EXPECT_NE(broken.err.find("template"), std::string::npos) << broken.err;
}

}  // namespace
}  // namespace fathom::test
