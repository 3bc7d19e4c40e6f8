#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

using nlohmann::json;
using Rows = std::vector<std::vector<float>>;

struct GoldenPrompt {
  std::vector<int32_t> tokens;
  Rows logits;
};

// The third prompt (7 tokens, logits after each) of a golden file: tests/golden/golden_file.py.
GoldenPrompt golden_prompt(const std::string& model) {
  const std::string bytes = read_file(golden_model(model) + "/logits.golden");
  size_t at = 0;
  const auto read = [&](auto& out, size_t count) {
    out.resize(count);
    std::memcpy(out.data(), bytes.data() + at, count * 4);
    at += count * 4;
  };
  std::vector<int32_t> head;
  read(head, 2);
  GoldenPrompt prompt;
  for (int i = 0; i < 3; ++i) {
    std::vector<int32_t> sizes;
    std::vector<int32_t> positions;
    read(sizes, 2);
    read(prompt.tokens, static_cast<size_t>(sizes[0]));
    read(positions, static_cast<size_t>(sizes[1]));
    prompt.logits.resize(static_cast<size_t>(sizes[1]));
    for (auto& row : prompt.logits) read(row, static_cast<size_t>(head[0]));
  }
  return prompt;
}

std::string comma_list(const std::vector<int32_t>& tokens) {
  std::string text;
  for (const int32_t token : tokens) {
    if (!text.empty()) text += ',';
    text += std::to_string(token);
  }
  return text;
}

float largest_difference(const Rows& a, const Rows& b) {
  EXPECT_EQ(a.size(), b.size());
  float largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    EXPECT_EQ(a[i].size(), b[i].size());
    for (size_t j = 0; j < std::min(a[i].size(), b[i].size()); ++j) {
      largest = std::max(largest, std::abs(a[i][j] - b[i][j]));
    }
  }
  return largest;
}

TEST(Logits, EqualTheReferencesForDirectoriesAndGgufFiles) {
  for (const char* name : {"llama_gqa_tied", "qwen3", "deepseek_v3"}) {
    const GoldenPrompt prompt = golden_prompt(name);
    ASSERT_EQ(prompt.tokens.size(), 7U);
    const Finished finished = run({"logits", golden_model(name), "--tokens",
                                   comma_list(prompt.tokens), "--all", "--kernels", "reference"});
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_EQ(finished.err, "");
    const Rows rows = json::parse(finished.out).at("logits");
    EXPECT_LT(largest_difference(rows, prompt.logits), 1e-4F) << name;
  }
  const GoldenPrompt prompt = golden_prompt("llama_gqa_tied");
  const Finished gguf =
      run({"logits", "-m", golden_model("llama_gqa_tied") + "/f16.gguf", "--tokens",
           comma_list(prompt.tokens), "--all", "--kernels", "reference"});
  ASSERT_EQ(gguf.code, 0) << gguf.err;
  EXPECT_LT(largest_difference(json::parse(gguf.out).at("logits"), prompt.logits), 1e-4F);
}

TEST(Logits, WithoutAllThereIsTheLastRow) {
  const std::string model = golden_model("llama_gqa_tied");
  const Rows all =
      json::parse(run({"logits", model, "--tokens", "5,6,7", "--all"}).out).at("logits");
  const Rows last = json::parse(run({"logits", model, "--tokens", "5,6,7"}).out).at("logits");
  ASSERT_EQ(all.size(), 3U);
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0], all[2]);
}

TEST(Logits, JsonNamesAFileThatGetsThemInPlaceOfStandardOutput) {
  const TemporaryDirectory directory;
  const auto path = directory.path() / "logits.json";
  const std::string model = golden_model("llama_gqa_tied");
  const Finished finished = run({"logits", model, "--tokens", "5,6", "--json", path.string()});
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(finished.out, "");
  EXPECT_EQ(json::parse(read_file(path)),
            json::parse(run({"logits", model, "--tokens", "5,6"}).out));
}

TEST(Logits, AFileThatCannotBeWrittenIsAnErrorThatLeavesNothing) {
  const std::string model = golden_model("llama_gqa_tied");
  for (const char* path : {"/nonexistent/logits.json", "/dev/full"}) {
    const Finished finished = run({"logits", model, "--tokens", "5,6", "--json", path});
    EXPECT_EQ(finished.code, 1) << path;
    EXPECT_NE(finished.err.find(path), std::string::npos) << finished.err;
  }
}

TEST(Logits, TokensOutsideTheVocabularyFailNamingThem) {
  const std::string model = golden_model("llama_gqa_tied");
  for (const char* token : {"96", "-1", "3000000000"}) {
    const Finished finished = run({"logits", model, "--tokens", std::string("1,") + token});
    EXPECT_EQ(finished.code, 1) << token;
    EXPECT_EQ(finished.out, "");
    EXPECT_NE(finished.err.find(token), std::string::npos) << finished.err;
    EXPECT_NE(finished.err.find("vocabulary"), std::string::npos) << finished.err;
  }
}

TEST(Logits, MoreTokensThanTheGivenContextFail) {
  const Finished finished =
      run({"logits", golden_model("llama_gqa_tied"), "--tokens", "1,2,3", "--context", "2"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("context"), std::string::npos) << finished.err;
}

}  // namespace
}  // namespace fathom::test
