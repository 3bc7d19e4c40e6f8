#include <gtest/gtest.h>

#include "golden.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace fathom {
namespace {

// GPT-2's alphabet alone, so that every token is one byte, and one special token.
std::unique_ptr<Tokenizer> byte_tokenizer() {
  TextSource source;
  GgufVocabulary& vocabulary = source.gguf.emplace();
  vocabulary.model = "gpt2";
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    const int code = printable ? byte : next++;
    std::string token;
    if (code < 0x80) {
      token = static_cast<char>(code);
    } else {
      token = {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    }
    vocabulary.tokens.push_back(token);
  }
  vocabulary.tokens.push_back("<end>");
  vocabulary.token_types.assign(257, 1);
  vocabulary.token_types[256] = 3;
  return text_golden::make_tokenizer(source);
}

std::vector<int32_t> bytes_of(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
  return ids;
}

TEST(Detokenizer, NeverReturnsHalfACharacter) {
  const auto tokenizer = byte_tokenizer();
  ASSERT_NE(tokenizer, nullptr);
  for (const std::string& text : text_golden::read_corpus()) {
    Detokenizer detokenizer(*tokenizer);
    std::string streamed;
    for (const int32_t id : bytes_of(text)) {
      const std::string part = detokenizer.push(id);
      EXPECT_EQ(part, replace_invalid_utf8(part)) << text;
      streamed += part;
    }
    streamed += detokenizer.finish();
    EXPECT_EQ(streamed, tokenizer->decode(bytes_of(text))) << text;
    EXPECT_EQ(streamed, replace_invalid_utf8(text)) << text;
  }
}

TEST(Detokenizer, ReturnsACharacterAsSoonAsItIsWhole) {
  const auto tokenizer = byte_tokenizer();
  ASSERT_NE(tokenizer, nullptr);
  Detokenizer detokenizer(*tokenizer);
  std::vector<std::string> parts;
  for (const int32_t id : bytes_of("a你\xE4\xBD!\xF0\x9F")) parts.push_back(detokenizer.push(id));
  EXPECT_EQ(parts, (std::vector<std::string>{"a", "", "", "你", "", "", "\uFFFD!", "", ""}));
  EXPECT_EQ(detokenizer.finish(), "\uFFFD");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, KeepsSpecialTokensOnlyWhenAsked) {
  const auto tokenizer = byte_tokenizer();
  ASSERT_NE(tokenizer, nullptr);
  Detokenizer without(*tokenizer);
  EXPECT_EQ(without.push('a') + without.push(256) + without.push('b'), "ab");
  Detokenizer with(*tokenizer, true);
  EXPECT_EQ(with.push('a') + with.push(256) + with.push('b'), "a<end>b");
}

// Expected values are CPython's: bytes.decode("utf-8", errors="replace").
TEST(Utf8, ReplacesEachMaximalPartOfAnInvalidSequence) {
  const std::string mark = "\uFFFD";
  for (const auto& [bytes, text] : std::vector<std::pair<std::string, std::string>>{
           {"", ""},
           {"plain é 你 😀", "plain é 你 😀"},
           {"\xE4\xBD", mark},
           {"\xE4\xBD\x61", mark + "a"},
           {"\xF0\x9F\x98", mark},
           {"\xED\xA0\x80", mark + mark + mark},
           {"\xF4\x90\x80\x80", mark + mark + mark + mark},
           {"\xC0\xAF", mark + mark},
           {"\xE0\x80\x80", mark + mark + mark},
           {"\xC2\xC2\xA9", mark + "©"},
           {"\xF1\x80\x80\xE4\xBD\xA0", mark + "你"},
       }) {
    EXPECT_EQ(replace_invalid_utf8(bytes), text);
  }
}

TEST(Utf8, MeasuresWhatFurtherBytesCouldComplete) {
  EXPECT_EQ(incomplete_utf8_suffix(""), 0u);
  EXPECT_EQ(incomplete_utf8_suffix("abc"), 0u);
  EXPECT_EQ(incomplete_utf8_suffix("你"), 0u);
  EXPECT_EQ(incomplete_utf8_suffix("a\xE4"), 1u);
  EXPECT_EQ(incomplete_utf8_suffix("a\xE4\xBD"), 2u);
  EXPECT_EQ(incomplete_utf8_suffix("\xF0\x9F\x98"), 3u);
  EXPECT_EQ(incomplete_utf8_suffix("\xED\xA0"), 0u);
  EXPECT_EQ(incomplete_utf8_suffix("a\x80\x80"), 0u);
}

}  // namespace
}  // namespace fathom
