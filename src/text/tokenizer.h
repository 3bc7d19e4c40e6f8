// Text to token ids and back: the Hugging Face `tokenizers` crate behind a C ABI (text/bridge), so
// ids equal the reference by construction. Built from tokenizer.json or from GGUF's vocabulary.
// Immutable after make(): any thread may call any member.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

struct FathomTokenizer;  // text/bridge/bridge.h

namespace fathom {

enum class SpecialText {
  kPlain,  // "<|im_end|>" in the text is eight or so ordinary tokens: for users' text. As in the
           // reference, added tokens that the vocabulary does not call special still match.
  kParse,  // it is the special token: for rendered chat templates (but see ChatTemplateInput)
};

class Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> make(const TextSource& source);
  ~Tokenizer();

  // Ids of `text`. Invalid UTF-8 is replaced by U+FFFD first, as Python's errors="replace" does.
  // add_special_tokens: also BOS and EOS where the model's files ask for them. (A rendered chat
  // template usually begins with BOS already.)
  Result<std::vector<int32_t>> encode(std::string_view text, SpecialText special,
                                      bool add_special_tokens) const;

  // Text of ids; special tokens are left out unless keep_special. May end in an incomplete UTF-8
  // sequence's U+FFFD; for streaming use a Detokenizer.
  std::string decode(std::span<const int32_t> tokens, bool keep_special = false) const;

  // The vocabulary's own spelling of a token ("Ġhello"), for `tokenize`. Empty if there is none.
  std::string piece(int32_t token) const;
  // The bytes a token adds to a text: may be part of a UTF-8 sequence. Empty for special tokens.
  std::string token_bytes(int32_t token) const;
  bool is_special(int32_t token) const;
  std::optional<int32_t> id(std::string_view piece) const;

  int64_t vocab_size() const;  // with added tokens: one more than the largest id
  std::optional<int32_t> bos_token() const;
  std::optional<int32_t> eos_token() const;
  // The text of BOS and EOS, which chat templates expect as variables. Empty if there is none.
  std::string bos_text() const;
  std::string eos_text() const;

  // As another kind of checkpoint holds it: the contents of a tokenizer.json; or GGUF's keys, which
  // fails for what llama.cpp's tokenizers cannot do.
  Result<std::string> to_json() const;
  Result<GgufVocabulary> to_gguf() const;

  const FathomTokenizer* bridge() const;  // for the other side of text/bridge

 private:
  friend class Detokenizer;
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Streams the text of one answer: push() returns what became certain with this token, never half
// a character; the concatenation of all pushes and finish() equals Tokenizer::decode of all tokens.
// One thread. The Tokenizer must outlive it.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, bool keep_special = false);
  std::string push(int32_t token);
  std::string finish();  // what was held back; incomplete UTF-8 as U+FFFD

 private:
  const Tokenizer* tokenizer_;
  bool keep_special_;
  size_t leading_spaces_;  // still to be dropped: SentencePiece begins each text with one
  std::string held_;       // the bytes of a character not yet complete
};

}  // namespace fathom
