#include "engine/answer_stream.h"

#include <utility>

namespace fathom {

AnswerStream::Reasoning AnswerStream::reasoning_after(std::string_view prompt) {
  while (!prompt.empty() && (prompt.back() == '\n' || prompt.back() == ' ')) {
    prompt.remove_suffix(1);
  }
  if (prompt.ends_with("<think>")) return Reasoning::kHasBegun;
  // A template that was told not to think writes an empty block.
  return prompt.ends_with("</think>") ? Reasoning::kNone : Reasoning::kMayBegin;
}

AnswerStream::AnswerStream(const Tokenizer* tokenizer, const std::vector<std::string>& stops,
                           Reasoning reasoning, const OnPiece& on_piece, bool keep_special)
    : stop_(stops), on_piece_(on_piece) {
  if (tokenizer != nullptr) detokenizer_.emplace(*tokenizer, keep_special);
  if (reasoning != Reasoning::kNone) reasoning_.emplace(reasoning == Reasoning::kHasBegun);
}

void AnswerStream::push(int32_t token) {
  tokens_.push_back(token);
  if (!detokenizer_) return deliver({}, false);
  emit(stop_.push(detokenizer_->push(token)));
  if (stop_.stopped()) finish(FinishReason::kStop);
}

void AnswerStream::finish(FinishReason reason) {
  if (finish_ == FinishReason::kCancelled) return;
  finish_ = reason;
  if (reason == FinishReason::kCancelled) return;
  if (detokenizer_ && !stop_.stopped()) {
    std::string rest = stop_.push(detokenizer_->finish());
    if (!stop_.stopped()) rest += stop_.finish();
    emit(rest);
  }
  if (reasoning_) {
    for (const auto& part : reasoning_->finish()) deliver(part.text, part.reasoning);
  }
}

void AnswerStream::poll() {
  if (on_piece_ && !on_piece_({})) finish_ = FinishReason::kCancelled;
}

void AnswerStream::emit(const std::string& text) {
  if (text.empty()) return;
  if (!reasoning_) return deliver(text, false);
  for (const auto& part : reasoning_->push(text)) deliver(part.text, part.reasoning);
}

void AnswerStream::deliver(const std::string& text, bool reasoning) {
  if (finish_ == FinishReason::kCancelled) return;
  (reasoning ? thoughts_ : text_) += text;
  if (on_piece_ && !on_piece_({.text = text, .reasoning = reasoning})) {
    finish_ = FinishReason::kCancelled;
  }
}

void AnswerStream::collect(Answer& answer) {
  answer.text = std::move(text_);
  answer.reasoning = std::move(thoughts_);
  answer.tokens = std::move(tokens_);
  answer.finish = reason();
}

}  // namespace fathom
