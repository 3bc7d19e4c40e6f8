// Tokenizers written in the other form, tokenizer.json or GGUF's keys, give the reference's ids.
#include <gtest/gtest.h>

#include "golden.h"
#include "text/tokenizer.h"

namespace fathom {
namespace {

using text_golden::expect_golden_ids;
using text_golden::expect_golden_texts;
using text_golden::golden_path;
using text_golden::huggingface_source;
using text_golden::make_tokenizer;
using text_golden::read_file;
using text_golden::unpacked_path;
using text_golden::vocabulary_from_json;

std::unique_ptr<Tokenizer> from_gguf(const std::string& vocabulary) {
  TextSource source;
  source.gguf = vocabulary_from_json(read_file(vocabulary));
  return make_tokenizer(source);
}

std::unique_ptr<Tokenizer> as_json(const Tokenizer& tokenizer) {
  TextSource source;
  const auto json = tokenizer.to_json();
  EXPECT_TRUE(json) << json.error().message;
  source.tokenizer_json = json.value_or("");
  return make_tokenizer(source);
}

std::unique_ptr<Tokenizer> as_gguf(const Tokenizer& tokenizer, const std::string& pre) {
  TextSource source;
  auto gguf = tokenizer.to_gguf();
  EXPECT_TRUE(gguf) << gguf.error().message;
  if (!gguf) return nullptr;
  EXPECT_EQ(gguf->pre_tokenizer, pre);
  source.gguf = *std::move(gguf);
  return make_tokenizer(source);
}

TEST(ExportedTokenizer, IsSmolLM2sAsJsonAndBack) {
  const auto original = from_gguf(unpacked_path("smollm2/vocabulary.json"));
  ASSERT_NE(original, nullptr);
  const auto json = as_json(*original);
  ASSERT_NE(json, nullptr);
  expect_golden_ids(*json, "smollm2");
  expect_golden_texts(*json, "smollm2");
  const auto back = as_gguf(*json, "smollm");
  ASSERT_NE(back, nullptr);
  expect_golden_ids(*back, "smollm2");
}

TEST(ExportedTokenizer, IsASentencePieceModelAsJsonAndBack) {
  const auto original = from_gguf(golden_path("stories260k.json"));
  ASSERT_NE(original, nullptr);
  const auto json = as_json(*original);
  ASSERT_NE(json, nullptr);
  expect_golden_ids(*json, "stories260k");
  expect_golden_texts(*json, "stories260k");
  EXPECT_EQ(json->encode("a", SpecialText::kPlain, true).value().front(), original->bos_token());
  const auto back = as_gguf(*json, "default");
  ASSERT_NE(back, nullptr);
  expect_golden_ids(*back, "stories260k");
  expect_golden_texts(*back, "stories260k");
}

TEST(ExportedTokenizer, IsDeepSeekV3sInGguf) {
  const auto original = make_tokenizer(huggingface_source("deepseek_v3"));
  ASSERT_NE(original, nullptr);
  const auto gguf = as_gguf(*original, "deepseek-v3");
  ASSERT_NE(gguf, nullptr);
  expect_golden_ids(*gguf, "deepseek_v3");
  EXPECT_EQ(gguf->bos_token(), original->bos_token());
  EXPECT_EQ(gguf->encode("Hello", SpecialText::kPlain, true).value(),
            (std::vector<int32_t>{0, 19923}));
}

TEST(ExportedTokenizer, IsQwensInGguf) {
  const auto original = make_tokenizer(huggingface_source("qwen3"));
  ASSERT_NE(original, nullptr);
  const auto gguf = as_gguf(*original, "qwen2");
  ASSERT_NE(gguf, nullptr);
  expect_golden_ids(*gguf, "qwen3");
  EXPECT_EQ(gguf->eos_token(), original->eos_token());
}

TEST(ExportedTokenizer, SaysWhatGgufCannotDo) {
  TextSource source;
  source.tokenizer_json = R"({"version": "1.0", "added_tokens": [], "normalizer": null,
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "x"}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false, "trim_offsets": true}]},
    "post_processor": null,
    "decoder": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true,
                "trim_offsets": true},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";
  const auto tokenizer = make_tokenizer(source);
  ASSERT_NE(tokenizer, nullptr);
  const auto gguf = tokenizer->to_gguf();
  ASSERT_FALSE(gguf);
  EXPECT_NE(gguf.error().message.find("has no name for"), std::string::npos)
      << gguf.error().message;
}

}  // namespace
}  // namespace fathom
