#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"
#include "route/policy.h"

namespace fathom::test {
namespace {

class RouteTest : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    const auto path = directory_.path() / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  // Questions whose answers people compared, half for each model.
  std::string questions(int count) const {
    std::string lines;
    for (int i = 0; i < count; ++i) {
      lines += nlohmann::json{{"prompt", "Question " + std::to_string(i)},
                              {"preferred", i % 4 < 2 ? "lite" : "v1"}}
                   .dump() +
               "\n";
    }
    return file("questions.jsonl", lines);
  }
  Finished calibrate(const std::string& questions, std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"route",
                                          "calibrate",
                                          questions,
                                          "-m",
                                          "lite=" + talking_model(),
                                          "-m",
                                          "v1=" + talking_model(),
                                          "--max-tokens",
                                          "8",
                                          "-o",
                                          output()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  std::string output() const { return (directory_.path() / "route.json").string(); }

  TemporaryDirectory directory_;
};

TEST_F(RouteTest, WritesAPolicyOfTheWantedQuality) {
  const auto plot = (directory_.path() / "route.svg").string();
  const Finished result =
      calibrate(questions(48), {"--quality", "0.5", "--tokens", "4", "--json", "--plot", plot});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["questions"], 48);
  EXPECT_GE(json["chosen"]["quality"], 0.5);
  EXPECT_FALSE(json["held_out"].is_null());
  // Either model alone pleases half of the people.
  EXPECT_DOUBLE_EQ(json["curve"].front()["v1_share"], 0);
  EXPECT_DOUBLE_EQ(json["curve"].front()["quality"], 0.5);
  EXPECT_DOUBLE_EQ(json["curve"].back()["v1_share"], 1);
  EXPECT_DOUBLE_EQ(json["curve"].back()["quality"], 0.5);
  const auto policy = route::parse_policy(read_file(output()), output());
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->tokens, 4);
  EXPECT_DOUBLE_EQ(policy->threshold, json["chosen"]["threshold"]);
  EXPECT_TRUE(policy->confidence);
  EXPECT_TRUE(read_file(plot).starts_with("<svg"));
}

TEST_F(RouteTest, ComparesTheAnswersOfBothModels) {
  // What a model says is right where it is asked for exactly that.
  const Finished said =
      run({"run", "-m", talking_model(), "--temperature", "0", "--max-tokens", "8", "Hello"});
  ASSERT_EQ(said.code, 0) << said.err;
  const std::string line =
      nlohmann::json{{"prompt", "Hello"}, {"answer", {said.out, "never"}}}.dump();
  const Finished result =
      calibrate(file("q.jsonl", line), {"--budget", "1", "--score", "exact", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_DOUBLE_EQ(json["chosen"]["quality"], 1);
  EXPECT_TRUE(json["held_out"].is_null()) << "one question cannot be split";
  EXPECT_LE(json["chosen"]["cost"], 1.0);
}

TEST_F(RouteTest, PrintsTheCurveForPeople) {
  const Finished result = calibrate(questions(8), {"--budget", "2"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("threshold"), std::string::npos);
  EXPECT_NE(result.out.find("expect less of new ones"), std::string::npos);
}

TEST_F(RouteTest, SaysWhatCannotBeReached) {
  const Finished quality = calibrate(questions(8), {"--quality", "0.9"});
  EXPECT_EQ(quality.code, 1);
  EXPECT_NE(quality.err.find("the best is"), std::string::npos) << quality.err;
  const Finished budget = calibrate(questions(8), {"--budget", "0.001"});
  EXPECT_EQ(budget.code, 1);
  EXPECT_NE(budget.err.find("Lite alone costs"), std::string::npos) << budget.err;
}

TEST_F(RouteTest, SaysWhatIsWrongWithTheCommand) {
  const std::string good = questions(2);
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{}, "--quality"},
      {{"--quality", "0.5", "--budget", "0.5"}, "--budget"},
      {{"--quality", "1.5"}, "--quality"},
      {{"--budget", "1", "--judge", "all"}, "--judge"},
      {{"--budget", "1", "--score", "bleu"}, "--score"},
      {{"--budget", "1", "--tokens", "0"}, "--tokens"},
      {{"--budget", "1", "-m", "third=" + talking_model()}, "lite=MODEL"},
  };
  for (const auto& [more, word] : cases) {
    const Finished result = calibrate(good, more);
    EXPECT_EQ(result.code, 2) << word;
    EXPECT_NE(result.err.find(word), std::string::npos) << result.err;
  }
  const Finished broken = calibrate(file("q.jsonl", "{\"prompt\": \"x\"}"), {"--budget", "1"});
  EXPECT_EQ(broken.code, 1);
  EXPECT_NE(broken.err.find("line 1"), std::string::npos) << broken.err;
}

TEST_F(RouteTest, ARouteNeedsItsModelsAndAReadableFile) {
  const Finished models = run(
      {"serve", "-m", "lite=" + talking_model(), "--route", "auto", "--port", "0", "--no-ledger"});
  EXPECT_EQ(models.code, 2);
  EXPECT_NE(models.err.find("\"v1\" is not served"), std::string::npos) << models.err;
  const Finished missing = run({"serve", "-m", talking_model(), "--route", "/no/route.json"});
  EXPECT_NE(missing.code, 0);
  EXPECT_NE(missing.err.find("/no/route.json"), std::string::npos) << missing.err;
}

}  // namespace
}  // namespace fathom::test
