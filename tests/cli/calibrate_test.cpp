// fathom calibrate, from its flags to a model that answers with what was stored.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

class CalibrateTest : public ::testing::Test {
 protected:
  CalibrateTest() : text_((directory_.path() / "text.txt").string()) {
    std::ofstream file(text_);
    for (int i = 0; i < 40; ++i) file << "the dog " << i << " does not mind the fox. ";
  }
  double perplexity(const std::string& model, const std::vector<std::string>& flags = {}) const {
    std::vector<std::string> arguments = {"eval", "ppl",       "-m", model,   "--text",
                                          text_,  "--context", "32", "--json"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Finished result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return Json::parse(result.out).value("perplexity", 0.0);
  }
  TemporaryDirectory directory_;
  std::string text_;
};

TEST_F(CalibrateTest, StoresATemperatureThatAllCommandsApply) {
  // A model that is too sure of itself, so that there is something to find.
  const std::string model = directory_.path() / "model";
  fs::copy(talking_model(), model);
  std::ofstream(fs::path(model) / "fathom.json") << R"({"temperature": 0.75})";
  const std::string out = directory_.path() / "calibrated";
  const Finished made = run({"calibrate", "-m", model, "--reference", model, "--text", text_,
                             "--context", "32", "-o", out, "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const Json json = Json::parse(made.out);
  EXPECT_NEAR(json["temperature"].get<double>(), 0.75, 0.01);
  EXPECT_LT(json["after"]["kl"].get<double>(), json["before"]["kl"].get<double>());
  EXPECT_TRUE(json["before"].contains("expected_calibration_error"));
  EXPECT_EQ(json["stored_in"], out);
  EXPECT_NEAR(perplexity(out), perplexity(model), 0.05 * perplexity(model));
  EXPECT_NEAR(perplexity(out, {"--no-calibration"}), perplexity(talking_model()), 1e-9);
  EXPECT_NE(perplexity(out), perplexity(talking_model()));
}

TEST_F(CalibrateTest, ChangesNothingUnlessAsked) {
  const std::string model = directory_.path() / "model";
  fs::copy(talking_model(), model);
  std::ofstream(fs::path(model) / "fathom.json") << R"({"temperature": 1.25})";
  const Finished shown =
      run({"calibrate", "-m", model, "--reference", model, "--text", text_, "--context", "32"});
  ASSERT_EQ(shown.code, 0) << shown.err;
  EXPECT_NE(shown.out.find("--in-place"), std::string::npos);
  EXPECT_EQ(read_file(fs::path(model) / "fathom.json"), R"({"temperature": 1.25})");
  const Finished stored = run({"calibrate", "-m", model, "--reference", model, "--text", text_,
                               "--context", "32", "--in-place"});
  ASSERT_EQ(stored.code, 0) << stored.err;
  EXPECT_NE(read_file(fs::path(model) / "fathom.json"), R"({"temperature": 1.25})");
}

TEST_F(CalibrateTest, StoresABiasOfPositionsThatAllCommandsApply) {
  const std::string model = directory_.path() / "model";
  fs::copy(talking_model(), model);
  std::ofstream(fs::path(model) / "fathom.json")
      << R"({"temperature": 0.75, "temperature_bias": [0, 0, 0.25, 0.25, -0.25]})";
  const std::string out = directory_.path() / "calibrated";
  const Finished made = run({"calibrate", "-m", model, "--reference", model, "--text", text_,
                             "--context", "32", "--per-position", "-o", out, "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const Json json = Json::parse(made.out);
  EXPECT_EQ(json["temperature_bias"].size(), 5U);
  EXPECT_LT(json["after"]["kl"].get<double>(), json["after_without_bias"]["kl"].get<double>());
  EXPECT_EQ(Json::parse(read_file(fs::path(out) / "fathom.json"))["temperature_bias"],
            json["temperature_bias"]);
  EXPECT_NEAR(perplexity(out), perplexity(model), 0.05 * perplexity(model));
  EXPECT_NEAR(perplexity(out, {"--no-calibration"}), perplexity(talking_model()), 1e-9);
  const Finished shown = run({"calibrate", "-m", model, "--reference", model, "--text", text_,
                              "--context", "32", "--per-position"});
  ASSERT_EQ(shown.code, 0) << shown.err;
  EXPECT_NE(shown.out.find("by position"), std::string::npos);
}

TEST_F(CalibrateTest, SaysWhatIsWrong) {
  const std::string empty = directory_.path() / "empty.txt";
  std::ofstream(empty).close();
  const std::string latin = directory_.path() / "latin.txt";
  std::ofstream(latin) << "caf\xe9 au lait";
  const std::string brief = directory_.path() / "brief.txt";
  std::ofstream(brief) << "too short";
  const std::tuple<std::vector<std::string>, int, const char*> cases[] = {
      {{"--text", empty}, 1, "empty"},
      {{"--text", latin}, 1, "UTF-8"},
      {{"--text", brief}, 1, "two windows"},
      {{"--text", text_, "--in-place", "-o", "x"}, 2, "--in-place"},
      {{"--text", text_, "--context", "1"}, 2, "context"},
      {{"--text", text_, "--context", "9999999"}, 2, "--context"},
      {{"--text", text_, "--max-tokens", "-1"}, 2, "--max-tokens"},
      {{"--text", text_, "--reference", "/no/such"}, 1, "/no/such"},
      {{}, 2, "--text"},
  };
  for (const auto& [flags, code, word] : cases) {
    std::vector<std::string> arguments = {"calibrate", "-m", talking_model()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Finished result = run(arguments);
    EXPECT_EQ(result.code, code) << word;
    EXPECT_NE(result.err.find(word), std::string::npos) << result.err;
  }
}

}  // namespace
}  // namespace fathom::test
