#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

class EvalTest : public ::testing::Test {
 protected:
  std::string text_file(const std::string& text) const {
    const auto path = directory_.path() / "text.txt";
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  TemporaryDirectory directory_;
};

const std::string kText = "the quick brown fox jumps over the lazy dog, and the dog does not mind";

TEST_F(EvalTest, PrintsPerplexityAsJson) {
  const auto result = run({"eval", "ppl", "-m", talking_model(), "--text", text_file(kText),
                           "--context", "16", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_GT(json["perplexity"].get<double>(), 1);
  EXPECT_EQ(json["tokens"].get<int64_t>(),
            json["text_tokens"].get<int64_t>() - json["windows"].get<int64_t>());
}

TEST_F(EvalTest, ReadsTheTextFromStandardInputAndCutsIt) {
  const auto result = run({"eval", "ppl", "-m", talking_model(), "--text", "-", "--context", "16",
                           "--max-tokens", "9", "--json"},
                          kText);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out)["tokens"], 8);
}

TEST_F(EvalTest, FindsNoDistanceOfAModelFromItself) {
  const auto result = run({"eval", "kl", "-m", talking_model(), "--reference", talking_model(),
                           "--text", text_file(kText), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_NEAR(json["kl_mean"].get<double>(), 0, 1e-6);
  EXPECT_EQ(json["top1_agreement"], 1);
}

TEST_F(EvalTest, ComparesWithLogitsThatWereSaved) {
  const std::string text = text_file(kText);
  const std::string logits = (directory_.path() / "reference.logits").string();
  const auto saved = run({"eval", "ppl", "-m", talking_model(), "--text", text, "--context", "16",
                          "--max-tokens", "40", "--save-logits", logits});
  ASSERT_EQ(saved.code, 0) << saved.err;
  const auto kl = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"eval",   "kl", "-m",     talking_model(),
                                          "--text", text, "--json", "--reference-logits",
                                          logits};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  const auto result = kl({"--context", "16"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_NEAR(json["kl_mean"].get<double>(), 0, 1e-6);
  EXPECT_GT(json["tokens"], 30);
  EXPECT_EQ(json["top1_agreement"], 1);
  const auto refused = [&](const Finished& finished, int code, const char* part) {
    EXPECT_EQ(finished.code, code);
    EXPECT_NE(finished.err.find(part), std::string::npos) << finished.err;
  };
  refused(kl({}), 2, "say --context 16");
  refused(kl({"--context", "16", "--max-tokens", "20"}), 1, "another text");
  refused(kl({"--context", "16", "--reference", talking_model()}), 2, "one of them");
  refused(run({"eval", "kl", "-m", talking_model(), "--text", text}), 2, "--reference-logits");
  refused(run({"eval", "kl", "-m", talking_model(), "--text", text, "--reference-logits", text}), 1,
          "holds no logits");
}

TEST_F(EvalTest, SaysWhatIsWrongWithTheText) {
  const auto error = [](const std::string& path) {
    const auto result = run({"eval", "ppl", "-m", talking_model(), "--text", path});
    EXPECT_EQ(result.code, 1);
    return result.err;
  };
  EXPECT_NE(error(text_file("")).find("is empty"), std::string::npos);
  EXPECT_NE(error(text_file("caf\xe9")).find("not UTF-8"), std::string::npos);
  EXPECT_NE(error("/no/such/file").find("No such file"), std::string::npos);
  EXPECT_NE(error("/tmp").find("directory"), std::string::npos);
}

TEST_F(EvalTest, RejectsWindowsThatMakeNoSense) {
  const std::string text = text_file(kText);
  for (const auto& flags : std::vector<std::vector<std::string>>{{"--context", "1"},
                                                                 {"--stride", "600"},
                                                                 {"--max-tokens", "-1"},
                                                                 {"--context", "9999999"}}) {
    std::vector<std::string> arguments = {"eval", "ppl", "-m", talking_model(), "--text", text};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    EXPECT_EQ(run(arguments).code, 2) << flags[0];
  }
}

}  // namespace
}  // namespace fathom::test
