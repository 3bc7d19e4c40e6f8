#include "engine/answer_constraint.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "text/golden.h"

namespace fathom {
namespace {

using Reasoning = AnswerStream::Reasoning;

constexpr int32_t kEnd = 2;

// SmolLM2's, in which the tags of thoughts are many tokens each; or with tokens for them.
const Tokenizer& words(bool tag_tokens = false) {
  static const auto make = [](bool tags) {
    TextSource source;
    source.gguf = text_golden::vocabulary_from_json(
        text_golden::read_file(text_golden::unpacked_path("smollm2/vocabulary.json")));
    constexpr int32_t kUserDefined = 4;
    for (const char* tag : {"<think>", "</think>"}) {
      if (!tags) continue;
      source.gguf->tokens.emplace_back(tag);
      source.gguf->token_types.push_back(kUserDefined);
    }
    return text_golden::make_tokenizer(source);
  };
  static const auto plain = make(false);
  static const auto tagged = make(true);
  return tag_tokens ? *tagged : *plain;
}

std::shared_ptr<const Constraint> compile(const Tokenizer& tokenizer, const std::string& regex) {
  auto vocabulary =
      ConstraintVocabulary::make(tokenizer, tokenizer.vocab_size(), std::vector<int32_t>{kEnd});
  EXPECT_TRUE(vocabulary);
  auto constraint =
      Constraint::compile(*vocabulary, {.kind = AnswerFormat::Kind::kRegex, .text = regex});
  EXPECT_TRUE(constraint) << constraint.error().message;
  return *constraint;
}

std::vector<int32_t> tokens_of(const Tokenizer& tokenizer, const std::string& text) {
  return *tokenizer.encode(text, SpecialText::kPlain, false);
}

// Says the text; false if a token of it may not be drawn.
bool say(AnswerConstraint& constraint, const Tokenizer& tokenizer, const std::string& text) {
  for (const int32_t token : tokens_of(tokenizer, text)) {
    const auto allowed = constraint.allowed();
    EXPECT_TRUE(allowed) << allowed.error().message;
    if (!allowed->empty() && !mask_allows(*allowed, token)) return false;
    if (!constraint.say(token)) return false;
  }
  return true;
}

TEST(AnswerConstraint, HoldsFromTheFirstTokenOfAModelThatDoesNotThink) {
  const auto regex = compile(words(), "yes|no");
  for (const Reasoning reasoning : {Reasoning::kNone, Reasoning::kMayBegin}) {
    AnswerConstraint constraint(words(), *regex, reasoning);
    EXPECT_FALSE(say(constraint, words(), "Well"));
    EXPECT_TRUE(say(constraint, words(), "yes"));
    EXPECT_TRUE(constraint.complete());
  }
}

TEST(AnswerConstraint, BeginsBehindThoughtsThatTheTemplateOpened) {
  for (const bool tag_tokens : {false, true}) {
    const Tokenizer& tokenizer = words(tag_tokens);
    const auto regex = compile(tokenizer, "yes|no");
    AnswerConstraint constraint(tokenizer, *regex, Reasoning::kHasBegun);
    EXPECT_TRUE(say(constraint, tokenizer, "Is it? </thin king </ I say no.\n</think>"));
    EXPECT_FALSE(constraint.complete());
    EXPECT_FALSE(say(constraint, tokenizer, "maybe"));
    EXPECT_TRUE(say(constraint, tokenizer, "no"));
    EXPECT_TRUE(constraint.complete());
  }
}

TEST(AnswerConstraint, LetsAModelThatThinksBeginWithThoughts) {
  const Tokenizer& tokenizer = words(true);
  const auto regex = compile(tokenizer, "yes|no");
  AnswerConstraint thinks(tokenizer, *regex, Reasoning::kMayBegin);
  EXPECT_TRUE(say(thinks, tokenizer, "<think>Hm.</think>"));
  EXPECT_FALSE(say(thinks, tokenizer, "<think>"));
  EXPECT_TRUE(say(thinks, tokenizer, "yes"));
  EXPECT_TRUE(thinks.complete());
  AnswerConstraint answers(tokenizer, *regex, Reasoning::kMayBegin);
  EXPECT_TRUE(say(answers, tokenizer, "no"));
  EXPECT_TRUE(answers.complete());
}

TEST(AnswerConstraint, CountsWhatFollowsTheClosingTagInItsToken) {
  // "><" is one token of this vocabulary.
  ASSERT_EQ(tokens_of(words(), "><").size(), 1U);
  const auto brackets = compile(words(), "<>");
  AnswerConstraint constraint(words(), *brackets, Reasoning::kHasBegun);
  EXPECT_TRUE(say(constraint, words(), "So </think><"));
  EXPECT_TRUE(say(constraint, words(), ">"));
  EXPECT_TRUE(constraint.complete());
  const auto words_only = compile(words(), "[a-z]+");
  AnswerConstraint other(words(), *words_only, Reasoning::kHasBegun);
  EXPECT_FALSE(say(other, words(), "So </think><"));
}

}  // namespace
}  // namespace fathom
