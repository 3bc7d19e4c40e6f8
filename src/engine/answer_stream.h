// From sampled tokens to what a caller sees: bytes become whole characters, stop strings end the
// answer, reasoning is told from the answer, and everything is collected in an Answer.
// One answer, one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/reasoning_filter.h"
#include "engine/stop_filter.h"
#include "fathom/fathom.h"
#include "text/tokenizer.h"

namespace fathom {

class AnswerStream {
 public:
  enum class Reasoning { kNone, kMayBegin, kHasBegun };
  // For the answer to a rendered chat: its template may have written the opening tag.
  static Reasoning reasoning_after(std::string_view prompt);

  // tokenizer may be null: then there is no text. Both must outlive the stream.
  // keep_special: special tokens are text.
  AnswerStream(const Tokenizer* tokenizer, const std::vector<std::string>& stops,
               Reasoning reasoning, const OnPiece& on_piece, bool keep_special = false);

  // Adds a token that is part of the answer. Afterwards ended() says whether to go on.
  void push(int32_t token);
  // The answer is over for another reason: emits what was held back.
  void finish(FinishReason reason);

  bool ended() const { return finish_.has_value(); }
  FinishReason reason() const { return finish_.value_or(FinishReason::kStop); }
  // The caller's chance to cancel while there is nothing to show.
  void poll();

  // Moves text, reasoning, tokens and reason into the answer.
  void collect(Answer& answer);

 private:
  void emit(const std::string& text);
  void deliver(const std::string& text, bool reasoning);

  std::optional<Detokenizer> detokenizer_;
  StopFilter stop_;
  std::optional<ReasoningFilter> reasoning_;
  const OnPiece& on_piece_;
  std::string text_;
  std::string thoughts_;
  std::vector<int32_t> tokens_;
  std::optional<FinishReason> finish_;
};

}  // namespace fathom
