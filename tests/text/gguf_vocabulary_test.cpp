#include <gtest/gtest.h>

#include <limits>

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
using text_golden::vocabulary_of;

TextSource source_of(GgufVocabulary vocabulary) {
  TextSource source;
  source.gguf = std::move(vocabulary);
  return source;
}

TEST(GgufVocabulary, EqualsTheReferenceForSmolLM2) {
  const auto tokenizer = make_tokenizer(
      source_of(vocabulary_from_json(read_file(unpacked_path("smollm2/vocabulary.json")))));
  ASSERT_NE(tokenizer, nullptr);
  expect_golden_ids(*tokenizer, "smollm2");
  expect_golden_texts(*tokenizer, "smollm2");
  EXPECT_EQ(tokenizer->vocab_size(), 49152);
  EXPECT_EQ(tokenizer->eos_text(), "<|im_end|>");
}

TEST(GgufVocabulary, EqualsTheReferenceForASentencePieceModel) {
  const auto tokenizer =
      make_tokenizer(source_of(vocabulary_from_json(read_file(golden_path("stories260k.json")))));
  ASSERT_NE(tokenizer, nullptr);
  expect_golden_ids(*tokenizer, "stories260k");
  expect_golden_texts(*tokenizer, "stories260k");
  EXPECT_EQ(tokenizer->encode("a", SpecialText::kPlain, true).value().front(),
            tokenizer->bos_token());
}

TEST(GgufVocabulary, EqualsTheReferenceForDeepSeekV3) {
  const TextSource source = huggingface_source("deepseek_v3");
  const auto tokenizer =
      make_tokenizer(source_of(vocabulary_of(source.tokenizer_json, "deepseek-v3")));
  ASSERT_NE(tokenizer, nullptr);
  expect_golden_ids(*tokenizer, "deepseek_v3");
}

TEST(GgufVocabulary, EqualsTheReferenceForQwen) {
  const TextSource source = huggingface_source("qwen3");
  const auto tokenizer = make_tokenizer(source_of(vocabulary_of(source.tokenizer_json, "qwen2")));
  ASSERT_NE(tokenizer, nullptr);
  expect_golden_ids(*tokenizer, "qwen3");
}

TEST(GgufVocabulary, CutsWordsAsTheNamedPreTokenizerDoes) {
  const GgufVocabulary deepseek =
      vocabulary_of(huggingface_source("deepseek_v3").tokenizer_json, "");
  const std::vector<std::string> texts = text_golden::read_corpus();
  const std::vector<std::string> usual = text_golden::read_lines("deepseek_v3.ids.txt");
  const std::vector<std::string> lines = text_golden::read_lines("words.ids.txt");
  auto line = lines.begin();
  int differing = 0;
  for (const std::string name : {"gpt-2", "llama-bpe", "deepseek-llm", "deepseek-coder"}) {
    ASSERT_EQ(*line++, name);
    GgufVocabulary vocabulary = deepseek;
    vocabulary.pre_tokenizer = name;
    const auto tokenizer = make_tokenizer(source_of(std::move(vocabulary)));
    ASSERT_NE(tokenizer, nullptr);
    for (size_t i = 0; i < texts.size(); i += 3) {
      const std::string golden = *line == "=" ? text_golden::split(usual[i], '\t')[0] : *line;
      differing += *line++ != "=";
      EXPECT_EQ(tokenizer->encode(texts[i], SpecialText::kPlain, false).value(),
                text_golden::parse_ids(golden))
          << name << ", text " << i << ": " << texts[i];
    }
  }
  EXPECT_EQ(line, lines.end());
  EXPECT_GT(differing, 100);
}

GgufVocabulary tiny_bpe() {
  GgufVocabulary vocabulary;
  vocabulary.model = "gpt2";
  vocabulary.tokens = {"a", "b", "ab", "Ġ", "<end>", "<mine>"};
  vocabulary.token_types = {1, 1, 1, 1, 3, 4};
  vocabulary.merges = {"a b"};
  vocabulary.eos_token = 4;
  return vocabulary;
}

GgufVocabulary tiny_sentence_piece() {
  GgufVocabulary vocabulary;
  vocabulary.model = "llama";
  vocabulary.tokens = {"<unk>", "<s>", "<0x41>", "▁", "a", "b", "▁a", "ab"};
  vocabulary.token_types = {2, 3, 6, 1, 1, 1, 1, 1};
  vocabulary.scores = {0, 0, 0, -3, -4, -5, -2, -1};
  vocabulary.bos_token = 1;
  return vocabulary;
}

TEST(GgufVocabulary, ParsesControlTokensOnlyWhenAskedAndUserDefinedOnesAlways) {
  const auto tokenizer = make_tokenizer(source_of(tiny_bpe()));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("ab<end>a<mine>", SpecialText::kParse, false).value(),
            (std::vector<int32_t>{2, 4, 0, 5}));
  // The letters of "<end>" have no tokens here.
  EXPECT_EQ(tokenizer->encode("ab<end>a<mine>", SpecialText::kPlain, false).value(),
            (std::vector<int32_t>{2, 0, 5}));
  EXPECT_TRUE(tokenizer->is_special(4));
  EXPECT_FALSE(tokenizer->is_special(5));
  EXPECT_EQ(tokenizer->token_bytes(5), "<mine>");
}

TEST(GgufVocabulary, TakesEndTokensForSpecialWhereThereAreNoTypes) {
  GgufVocabulary vocabulary = tiny_bpe();
  vocabulary.token_types.clear();
  const auto tokenizer = make_tokenizer(source_of(std::move(vocabulary)));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_TRUE(tokenizer->is_special(4));
  EXPECT_FALSE(tokenizer->is_special(5));
}

TEST(GgufVocabulary, AddsTheTokensThatTheFileAsksFor) {
  GgufVocabulary bpe = tiny_bpe();
  bpe.bos_token = 5;
  auto ids = [](GgufVocabulary vocabulary) {
    return make_tokenizer(source_of(std::move(vocabulary)))
        ->encode("a", SpecialText::kPlain, true)
        .value();
  };
  EXPECT_EQ(ids(bpe), (std::vector<int32_t>{0}));
  bpe.add_bos = bpe.add_eos = true;
  EXPECT_EQ(ids(bpe), (std::vector<int32_t>{5, 0, 4}));
  bpe.add_bos = false;
  EXPECT_EQ(ids(bpe), (std::vector<int32_t>{0, 4}));
  bpe.pre_tokenizer = "llama-bpe";
  bpe.add_bos = bpe.add_eos = std::nullopt;
  EXPECT_EQ(ids(bpe), (std::vector<int32_t>{5, 0}));

  GgufVocabulary pieces = tiny_sentence_piece();
  EXPECT_EQ(ids(pieces), (std::vector<int32_t>{1, 6}));
  pieces.add_bos = false;
  EXPECT_EQ(ids(pieces), (std::vector<int32_t>{6}));
  pieces.add_space_prefix = false;
  EXPECT_EQ(ids(pieces), (std::vector<int32_t>{4}));
}

TEST(GgufVocabulary, FallsBackToBytesAndThenToTheUnknownToken) {
  const auto tokenizer = make_tokenizer(source_of(tiny_sentence_piece()));
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->encode("abA?", SpecialText::kPlain, false).value(),
            (std::vector<int32_t>{3, 7, 2, 0}));
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{3, 7, 2, 6}), "abA a");
}

TEST(GgufVocabulary, SaysWhatIsWrongWithAVocabulary) {
  struct Case {
    std::string says;
    GgufVocabulary vocabulary;
  };
  std::vector<Case> cases;
  auto damaged = [&](const std::string& says, GgufVocabulary vocabulary, auto damage) {
    damage(vocabulary);
    cases.push_back({says, std::move(vocabulary)});
  };
  damaged("empty", tiny_bpe(), [](auto& v) {
    v = {};
    v.model = "gpt2";
  });
  damaged("\"wordpiece\"", tiny_bpe(), [](auto& v) { v.model = "wordpiece"; });
  damaged("\"tekken-9\"", tiny_bpe(), [](auto& v) { v.pre_tokenizer = "tekken-9"; });
  damaged("both \"a\"", tiny_bpe(), [](auto& v) { v.tokens[3] = "a"; });
  damaged("token 1 is not UTF-8", tiny_bpe(), [](auto& v) { v.tokens[1] = "\xFF"; });
  damaged("Token `z`", tiny_bpe(), [](auto& v) { v.merges.push_back("a z"); });
  damaged("Token `ba`", tiny_bpe(), [](auto& v) { v.merges.push_back("b a"); });
  damaged("two pieces", tiny_bpe(), [](auto& v) { v.merges.push_back("ab"); });
  damaged("two pieces", tiny_bpe(), [](auto& v) { v.merges.push_back(""); });
  damaged("5 token types for 6", tiny_bpe(), [](auto& v) { v.token_types.pop_back(); });
  damaged("1 scores for 6", tiny_bpe(), [](auto& v) { v.scores = {1}; });
  damaged("eos_token_id is 6", tiny_bpe(), [](auto& v) { v.eos_token = 6; });
  damaged("bos_token_id is -2", tiny_bpe(), [](auto& v) { v.bos_token = -2; });
  damaged("eot_token_id", tiny_bpe(), [](auto& v) { v.eot_token = INT32_MAX; });
  damaged("needs tokenizer.ggml.scores", tiny_sentence_piece(), [](auto& v) { v.scores.clear(); });
  damaged("score of token 4", tiny_sentence_piece(),
          [](auto& v) { v.scores[4] = std::numeric_limits<float>::quiet_NaN(); });
  for (const std::string piece : {"<0x100>", "<0xG1>", "<0x4>", "A", "<0x+1>", ""}) {
    damaged("typed as a byte", tiny_sentence_piece(), [&](auto& v) { v.tokens[2] = piece; });
  }
  for (const auto& [says, vocabulary] : cases) {
    const auto tokenizer = Tokenizer::make(source_of(vocabulary));
    ASSERT_FALSE(tokenizer.has_value()) << says;
    EXPECT_NE(tokenizer.error().message.find(says), std::string::npos)
        << tokenizer.error().message << " does not say: " << says;
  }
}

}  // namespace
}  // namespace fathom
