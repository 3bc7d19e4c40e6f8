#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "golden.h"

namespace fathom {
namespace {

using text_golden::expect_golden_ids;
using text_golden::expect_golden_texts;
using text_golden::huggingface_source;
using text_golden::make_tokenizer;

// Loading takes most of a second, and ctest runs each test in a process of its own: one test a
// tokenizer.
TEST(Tokenizer, EqualsTheReferenceForDeepSeekV3) {
  const auto tokenizer = make_tokenizer(huggingface_source("deepseek_v3"));
  ASSERT_NE(tokenizer, nullptr);
  expect_golden_ids(*tokenizer, "deepseek_v3");
  expect_golden_texts(*tokenizer, "deepseek_v3");

  EXPECT_EQ(tokenizer->vocab_size(), 128815);
  EXPECT_EQ(tokenizer->bos_token(), 0);
  EXPECT_EQ(tokenizer->eos_token(), 1);
  EXPECT_EQ(tokenizer->bos_text(), "<｜begin▁of▁sentence｜>");
  EXPECT_EQ(tokenizer->eos_text(), "<｜end▁of▁sentence｜>");
  // tokenizer_config.json asks for BOS, which tokenizer.json's post-processor leaves out.
  EXPECT_EQ(tokenizer->encode("Hello", SpecialText::kPlain, true).value(),
            (std::vector<int32_t>{0, 19923}));
}

TEST(Tokenizer, EqualsTheReferenceForQwen3) {
  const auto tokenizer = make_tokenizer(huggingface_source("qwen3"));
  ASSERT_NE(tokenizer, nullptr);
  expect_golden_ids(*tokenizer, "qwen3");
  expect_golden_texts(*tokenizer, "qwen3");

  EXPECT_EQ(tokenizer->bos_token(), std::nullopt);
  EXPECT_EQ(tokenizer->bos_text(), "");
  EXPECT_EQ(tokenizer->eos_text(), "<|im_end|>");
  EXPECT_EQ(tokenizer->encode("Hello", SpecialText::kPlain, true).value(),
            (std::vector<int32_t>{9707}));
  const int32_t end = tokenizer->id("<|im_end|>").value();
  EXPECT_EQ(tokenizer->eos_token(), end);
  EXPECT_TRUE(tokenizer->is_special(end));
  EXPECT_EQ(tokenizer->token_bytes(end), "");
  EXPECT_FALSE(tokenizer->is_special(9707));
}

constexpr const char* kByteLevel =
    R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true, "trim_offsets": true})";

// A byte-level vocabulary small enough to write down: the letters a to c, a space, the byte E4,
// "ab" made by a merge, and an end token.
TextSource tiny_source(const std::string& post_processor = "null",
                       const std::string& decoder = kByteLevel) {
  TextSource source;
  source.tokenizer_json = R"({"version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [{"id": 6, "content": "<end>", "single_word": false, "lstrip": false,
                      "rstrip": false, "normalized": false, "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true,
                      "trim_offsets": true},
    "post_processor": )" + post_processor +
                          R"(, "decoder": )" + decoder + R"(,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ä": 4, "ab": 5},
              "merges": ["a b"]}})";
  return source;
}

TEST(Tokenizer, SpellsAndFindsItsTokens) {
  const auto tokenizer = make_tokenizer(tiny_source());
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("abc a", SpecialText::kPlain, false).value(),
            (std::vector<int32_t>{5, 2, 3, 0}));
  EXPECT_EQ(tokenizer->piece(3), "Ġ");
  EXPECT_EQ(tokenizer->token_bytes(3), " ");
  EXPECT_EQ(tokenizer->token_bytes(4), "\xE4");
  EXPECT_EQ(tokenizer->id("ab"), 5);
  EXPECT_EQ(tokenizer->id("nothing"), std::nullopt);
  EXPECT_EQ(tokenizer->vocab_size(), 7);
}

TEST(Tokenizer, AnswersForIdsItDoesNotHave) {
  const auto tokenizer = make_tokenizer(tiny_source());
  ASSERT_NE(tokenizer, nullptr);
  for (const int32_t id : {-1, 7, 1 << 30, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer->piece(id), "");
    EXPECT_EQ(tokenizer->token_bytes(id), "");
    EXPECT_FALSE(tokenizer->is_special(id));
    EXPECT_EQ(tokenizer->decode(std::array{0, id, 1}), "ab");
  }
}

TEST(Tokenizer, AddsWhatThePostProcessorAndTheConfigurationAskFor) {
  const std::string adds_end = R"({"type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "<end>", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<end>": {"id": "<end>", "ids": [6], "tokens": ["<end>"]}}})";
  struct Case {
    std::string post_processor, config;
    std::vector<int32_t> ids;
  };
  const std::string end = R"("eos_token": {"content": "<end>"}, "bos_token": "c")";
  for (const auto& [post_processor, config, ids] : std::vector<Case>{
           {"null", "", {0}},
           {"null", "{" + end + "}", {0}},
           {"null", "{" + end + R"(, "add_eos_token": true})", {0, 6}},
           {"null", "{" + end + R"(, "add_bos_token": true, "add_eos_token": false})", {2, 0}},
           {adds_end, "{" + end + "}", {0, 6}},
           {adds_end, "{" + end + R"(, "add_eos_token": false})", {0}},
       }) {
    TextSource source = tiny_source(post_processor);
    source.tokenizer_config_json = config;
    const auto tokenizer = make_tokenizer(source);
    ASSERT_NE(tokenizer, nullptr);
    EXPECT_EQ(tokenizer->encode("a", SpecialText::kPlain, true).value(), ids) << config;
    EXPECT_EQ(tokenizer->encode("a", SpecialText::kPlain, false).value(), std::vector{0});
  }
}

TEST(Tokenizer, SaysWhatIsWrongWithAFile) {
  auto error = [](const TextSource& source) {
    const auto tokenizer = Tokenizer::make(source);
    return tokenizer ? std::string("no error") : tokenizer.error().message;
  };
  auto with_json = [](const std::string& json) {
    TextSource source;
    source.tokenizer_json = json;
    return source;
  };
  EXPECT_NE(error({}).find("has no tokenizer"), std::string::npos) << error({});
  const std::string valid = tiny_source().tokenizer_json;
  std::vector<std::string> damaged = {"{",
                                      "[]",
                                      "null",
                                      "{\"model\": 1}",
                                      std::string(100000, '['),
                                      valid.substr(0, valid.size() / 2),
                                      "\xFF\xFE"};
  auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = valid;
    return text.replace(text.find(from), from.size(), to);
  };
  damaged.push_back(replaced("\"a b\"", "\"a z\""));  // a merge of a token there is not
  damaged.push_back(replaced("\"a b\"", "\"b a\""));  // and into one there is not
  damaged.push_back(replaced("\"ab\": 5", "\"ab\": -5"));
  damaged.push_back(replaced("\"ab\": 5", "\"ab\": 4294967295"));
  damaged.push_back(replaced("\"type\": \"BPE\"", "\"type\": \"Mystery\""));
  for (const std::string& json : damaged) {
    const std::string message = error(with_json(json));
    EXPECT_EQ(message.rfind("tokenizer: ", 0), 0u) << message << " for " << json.substr(0, 200);
  }
  EXPECT_NE(error(tiny_source("null", R"({"type": "WordPiece", "prefix": "##", "cleanup": true})"))
                .find("decoder (WordPiece)"),
            std::string::npos);
  TextSource source = tiny_source();
  source.tokenizer_config_json = "{";
  EXPECT_NE(error(source).find("tokenizer_config.json"), std::string::npos);
}

TEST(Tokenizer, ServesManyThreads) {
  const auto tokenizer = make_tokenizer(tiny_source());
  ASSERT_NE(tokenizer, nullptr);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        const auto ids = tokenizer->encode("ab c<end>", SpecialText::kParse, false).value();
        EXPECT_EQ(ids, (std::vector<int32_t>{5, 3, 2, 6}));
        EXPECT_EQ(tokenizer->decode(ids), "ab c");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace fathom
