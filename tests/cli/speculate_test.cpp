#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

using nlohmann::json;

Finished speculate(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"run", "-m", endless_model(), "--max-tokens", "150"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  arguments.push_back("Hello");
  return run(arguments);
}

std::string text_of(const std::vector<std::string>& more) {
  const Finished finished = speculate(more);
  EXPECT_EQ(finished.code, 0) << finished.err;
  return finished.out;
}

TEST(Speculate, ByLookupPrintsTheSameText) {
  for (const std::vector<std::string>& how :
       {std::vector<std::string>{"--temperature", "0"}, {"--seed", "4", "--temperature", "0.3"}}) {
    auto quick = how;
    quick.insert(quick.end(), {"--speculate", "lookup", "--draft-tokens", "4"});
    EXPECT_EQ(text_of(quick), text_of(how));
  }
}

TEST(Speculate, ByADraftModelReportsWhatWasAccepted) {
  const std::vector<std::string> flags = {"--temperature", "0", "--speculate", talking_model()};
  auto with_json = flags;
  with_json.push_back("--json");
  const json report = json::parse(text_of(with_json));
  EXPECT_GT(report.at("drafted_tokens"), 0);
  // The draft model has the same weights.
  EXPECT_EQ(report.at("accepted_tokens"), report.at("drafted_tokens"));
  auto with_stats = flags;
  with_stats.push_back("--stats");
  const Finished finished = speculate(with_stats);
  EXPECT_EQ(finished.code, 0);
  EXPECT_NE(finished.err.find("(accepted 100% of "), std::string::npos) << finished.err;
  EXPECT_EQ(text_of({"--temperature", "0"}), text_of(flags));
}

TEST(Speculate, IsOffUnlessAskedFor) {
  const json report = json::parse(text_of({"--temperature", "0", "--json"}));
  EXPECT_EQ(report.at("drafted_tokens"), 0);
}

TEST(Speculate, WorksInAChat) {
  const std::string lines = "Hello\nHello again\n";
  const auto chat = [&](const std::string& method) {
    const Finished finished = run({"chat", "-m", endless_model(), "--temperature", "0",
                                   "--max-tokens", "60", "--speculate", method},
                                  lines);
    EXPECT_EQ(finished.code, 0) << finished.err;
    return finished.out;
  };
  EXPECT_EQ(chat("lookup"), chat("off"));
  EXPECT_EQ(chat(talking_model()), chat("off"));
}

struct Refusal {
  std::vector<std::string> flags;
  int code;
  std::string says;
};

TEST(Speculate, RefusesWhatMakesNoSense) {
  const std::vector<Refusal> refusals = {
      {{"--speculate", "lookup", "--draft-tokens", "0"}, 2, "--draft-tokens is 0"},
      {{"--speculate", "lookup", "--draft-tokens", "17"}, 2, "1 to 16"},
      {{"--speculate", "lookup", "--draft-tokens", "-3"}, 2, "--draft-tokens is -3"},
      {{"--draft-tokens", "4"}, 2, "--draft-tokens needs --speculate"},
      {{"--speculate", ""}, 2, "--speculate is empty"},
      {{"--speculate", "/nowhere/draft.gguf"}, 1, "/nowhere/draft.gguf"},
      {{"--speculate", "mtp"}, 2, "no multi-token prediction layer"},
      // Weights without a tokenizer, beside a model that has one.
      {{"--speculate", golden_model("qwen3")}, 2, "tokenizer"},
  };
  for (const Refusal& refusal : refusals) {
    const Finished finished = speculate(refusal.flags);
    EXPECT_EQ(finished.code, refusal.code) << finished.err;
    EXPECT_EQ(finished.out, "");
    EXPECT_NE(finished.err.find(refusal.says), std::string::npos) << finished.err;
  }
}

TEST(Speculate, RefusesADraftModelOfAnotherVocabularyNamingTheToken) {
  const TemporaryDirectory directory;
  TinyModel().write(directory.path());
  const auto path = directory.path() / "tokenizer.json";
  json tokenizer = json::parse(read_file(path));
  auto& vocabulary = tokenizer["model"]["vocab"];
  const int a = vocabulary["a"];
  std::swap(vocabulary["a"], vocabulary["b"]);
  std::ofstream(path) << tokenizer.dump();
  const Finished finished = speculate({"--speculate", directory.path().string()});
  EXPECT_EQ(finished.code, 2);
  EXPECT_NE(finished.err.find("token " + std::to_string(a) + " is \"b\" in the one and \"a\""),
            std::string::npos)
      << finished.err;
}

}  // namespace
}  // namespace fathom::test
