// fathom quantize, from its flags to a model that answers.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

namespace fs = std::filesystem;

TEST(QuantizeCommand, MakesADirectoryThatRuns) {
  const TemporaryDirectory folder;
  const std::string out = folder.path() / "small";
  const std::string text = folder.path() / "text.txt";
  std::ofstream file(text);
  for (int i = 0; i < 300; ++i) file << "word " << i << " and more. ";
  file.close();
  const Finished made =
      run({"quantize", "-m", talking_model(), "-o", out, "--method", "awq", "--group", "32",
           "--keep", "down_proj", "--calibration", text, "--calibration-window", "32", "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const auto report = nlohmann::json::parse(made.out);
  EXPECT_EQ(report["method"], "awq");
  EXPECT_GT(report["quantized_matrices"], 0);
  EXPECT_LT(report["bits_per_weight"], 16);
  EXPECT_GE(report["calibration_tokens"], 32);
  const Finished answer = run({"run", "-m", out, "--max-tokens", "5", "hello"});
  EXPECT_EQ(answer.code, 0) << answer.err;
}

// The golden has no tokenizer, so token ids must do.
TEST(QuantizeCommand, TurnsADirectoryIntoAGgufFileAndBack) {
  const TemporaryDirectory folder;
  const std::string gguf = folder.path() / "model.gguf";
  const std::string back = folder.path() / "back";
  const std::string source = golden_model("llama_gqa_tied");
  const Finished made = run({"quantize", "-m", source, "-o", gguf, "--format", "gguf", "--method",
                             "none", "--type", "f32"});
  ASSERT_EQ(made.code, 0) << made.err;
  const Finished again =
      run({"quantize", "-m", gguf, "-o", back, "--format", "hf", "--bits", "16"});
  ASSERT_EQ(again.code, 0) << again.err;
  const auto logits = [](const std::string& model) {
    const Finished result =
        run({"logits", "-m", model, "--tokens", "1,2,3", "--kernels", "reference"});
    EXPECT_EQ(result.code, 0) << result.err;
    return nlohmann::json::parse(result.out)["logits"][0].get<std::vector<float>>();
  };
  const auto expected = logits(source);
  const auto there = logits(gguf);
  const auto here = logits(back);
  ASSERT_EQ(there.size(), expected.size());
  ASSERT_EQ(here.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(there[i], expected[i], 1e-4F);
    EXPECT_NEAR(here[i], expected[i], 1e-2F);  // F16 now
  }
}

TEST(QuantizeCommand, KeepsWhatItsSourceWasCalibratedWith) {
  const TemporaryDirectory folder;
  const std::string source = folder.path() / "source";
  fs::copy(golden_model("llama_gqa_tied"), source);
  const auto calibration = nlohmann::json{{"temperature", 1.5}, {"temperature_bias", {0.25, -0.5}}};
  std::ofstream(fs::path(source) / "fathom.json") << calibration.dump();
  const std::string gguf = folder.path() / "model.gguf";
  const std::string again = folder.path() / "again.gguf";
  const std::string back = folder.path() / "back";
  for (const auto& [from, to, format] :
       {std::tuple(source, gguf, "gguf"), {gguf, again, "gguf"}, {again, back, "hf"}}) {
    const Finished made =
        run({"quantize", "-m", from, "-o", to, "--format", format, "--bits", "16"});
    ASSERT_EQ(made.code, 0) << made.err;
  }
  EXPECT_EQ(nlohmann::json::parse(read_file(fs::path(back) / "fathom.json")), calibration);
  const std::string packed = folder.path() / "packed";
  const Finished made = run({"quantize", "-m", source, "-o", packed, "--bits", "16"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(nlohmann::json::parse(read_file(fs::path(packed) / "fathom.json")), calibration);
}

TEST(QuantizeCommand, DoesNotWriteATokenizerThatWouldReadTextsOtherwise) {
  const TemporaryDirectory folder;
  const std::string out = folder.path() / "model.gguf";
  // Its vocabulary lacks bytes, for which it has an unknown token; GGUF's tokenizers have all.
  const Finished made =
      run({"quantize", "-m", talking_model(), "-o", out, "--format", "gguf", "--bits", "16"});
  EXPECT_EQ(made.code, 1);
  EXPECT_NE(made.err.find("tokenizer cannot be written"), std::string::npos) << made.err;
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(QuantizeCommand, ExplainsFlagsThatDoNotGoTogether) {
  const TemporaryDirectory folder;
  const std::string out = folder.path() / "small";
  const auto refuse = [&](std::vector<std::string> flags, const std::string& part) {
    std::vector<std::string> arguments = {"quantize", "-m", talking_model(), "-o", out};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Finished result = run(arguments);
    EXPECT_EQ(result.code, 2) << part;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_FALSE(fs::exists(out));
  };
  refuse({"--method", "none"}, "--type");
  refuse({"--target-bits", "0"}, "--target-bits is 0");
  refuse({"--target-bits", "nan"}, "--target-bits is nan");
  refuse({"--target-size", "much"}, "--target-size is \"much\"");
  refuse({"--group", "32", "--keep", "layer_that_is_not"}, "no matrix has that in its name");
  refuse({"--type", "f16"}, "--type f16 rounds nothing");
  refuse({"--type", "q9_k"}, "--type is Q9_K");
  refuse({"--type", "q4_k", "--bits", "8"}, "leave --bits");
  refuse({"--type", "q4_k", "--group", "32"}, "leave --bits");
  refuse({"--type", "q4_k"}, "a type of GGUF files");
  refuse({"--method", "magic"}, "magic");
  refuse({"--method", "none", "--type", "q4_0"}, "plain type");
  refuse({"--embedding", "iq3"}, "--embedding is IQ3");
  refuse({"--calibration", "text.txt"}, "rtn uses no text");
  refuse({"--method", "awq", "--calibration-window", "1"}, "--calibration-window is 1");
  refuse({"--bits", "3", "--group", "32"}, "3 bits");
  refuse({"--bits", "16", "--method", "awq"}, "--bits 16 rounds nothing");
  refuse({"--format", "onnx"}, "--format is onnx");
  refuse({"--format", "awq", "--bits", "8", "--group", "32"}, "4 bits");
}

TEST(QuantizeCommand, RefusesACalibrationTextThatIsMissingEmptyOrNotUtf8) {
  const TemporaryDirectory folder;
  const std::string out = folder.path() / "small";
  const std::string text = folder.path() / "text.txt";
  const auto refuse = [&](const std::string& part) {
    const Finished result = run({"quantize", "-m", talking_model(), "-o", out, "--method", "gptq",
                                 "--group", "32", "--calibration", text});
    EXPECT_EQ(result.code, 1);
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_FALSE(fs::exists(out));
  };
  refuse("Cannot read");
  std::ofstream(text) << " \n";
  refuse("is empty");
  std::ofstream(text) << "caf\xe9 in Latin-1";
  refuse("UTF-8");
  std::ofstream(text) << "too short";
  refuse("fewer than one window");
}

}  // namespace
}  // namespace fathom::test
