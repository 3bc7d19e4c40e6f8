// Constraints on an answer: a JSON schema, a regular expression or a grammar says which tokens may
// come next. The `llguidance` crate behind a C ABI (text/bridge): an Earley parser over lexemes,
// walked along a trie of the vocabulary's bytes.
//
// ConstraintVocabulary is made once for a tokenizer (some 100 ms for 150,000 tokens) and may be
// used from any thread. A Constraint is compiled once for a request; start() gives each of its
// answers a state of its own, which belongs to one thread at a time. Formats come from users: what
// they may cost in time and memory is limited, when they are compiled and at every token.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fathom/answer_format.h"

struct FathomConstraints;  // text/bridge/bridge.h
struct FathomMatcher;

namespace fathom {

class Tokenizer;

class ConstraintVocabulary {
 public:
  // vocab_size: the model's. end_tokens: any of them ends an answer.
  static Result<std::shared_ptr<const ConstraintVocabulary>> make(
      const Tokenizer& tokenizer, int64_t vocab_size, std::span<const int32_t> end_tokens);
  ~ConstraintVocabulary();
  ConstraintVocabulary(const ConstraintVocabulary&) = delete;
  ConstraintVocabulary& operator=(const ConstraintVocabulary&) = delete;

  // 32-bit words in a mask.
  size_t mask_words() const { return (static_cast<size_t>(vocab_size_) + 31) / 32; }

 private:
  friend class Constraint;
  friend class ConstraintState;
  ConstraintVocabulary(FathomConstraints* handle, int64_t vocab_size)
      : handle_(handle), vocab_size_(vocab_size) {}

  FathomConstraints* handle_;
  int64_t vocab_size_;
};

// Where one answer is in its grammar.
class ConstraintState {
 public:
  ~ConstraintState();
  ConstraintState(const ConstraintState&) = delete;
  ConstraintState& operator=(const ConstraintState&) = delete;

  // Which tokens may come next: bit i % 32 of word i / 32 is token i. End tokens may where the
  // answer may end. Valid until the next call. Fails (kUsage) if the grammar is too complex to go
  // on.
  Result<std::span<const uint32_t>> mask();
  // The answer goes on by a token of the mask (not by an end token), or by a text of other origin,
  // which fails where the grammar does not allow it.
  Status accept(int32_t token);
  Status accept_text(std::string_view text);
  // Nothing may follow: the answer is complete.
  bool complete() const { return complete_; }

 private:
  friend class Constraint;
  ConstraintState(std::shared_ptr<const ConstraintVocabulary> vocabulary, FathomMatcher* matcher);
  template <typename Step>
  Status take_step(Step step);

  std::shared_ptr<const ConstraintVocabulary> vocabulary_;
  FathomMatcher* matcher_;
  std::unique_ptr<uint32_t[]> mask_;
  bool complete_ = false;
};

// Why a format was not compiled.
struct FormatError {
  std::string message;
  bool busy = false;  // too many others are being compiled: the format may be fine
};

class Constraint {
 public:
  // Fails naming what is wrong with the format, or which limit it exceeds. Takes milliseconds, or
  // up to ten seconds.
  static std::expected<std::shared_ptr<const Constraint>, FormatError> compile(
      std::shared_ptr<const ConstraintVocabulary> vocabulary, const AnswerFormat& format);
  ~Constraint();
  Constraint(const Constraint&) = delete;
  Constraint& operator=(const Constraint&) = delete;

  // One thread at a time.
  std::unique_ptr<ConstraintState> start() const;

 private:
  Constraint(std::shared_ptr<const ConstraintVocabulary> vocabulary, FathomMatcher* matcher)
      : vocabulary_(std::move(vocabulary)), matcher_(matcher) {}

  std::shared_ptr<const ConstraintVocabulary> vocabulary_;
  FathomMatcher* matcher_;  // at the beginning of its text
};

inline bool mask_allows(std::span<const uint32_t> mask, int32_t token) {
  const auto index = static_cast<size_t>(token);
  return index / 32 < mask.size() && (mask[index / 32] >> (index % 32) & 1U) != 0;
}

}  // namespace fathom
