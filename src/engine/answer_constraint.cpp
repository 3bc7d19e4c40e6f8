#include "engine/answer_constraint.h"

#include <algorithm>
#include <string_view>

namespace fathom {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";
constexpr std::string_view kSpace = " \t\r\n";

}  // namespace

AnswerConstraint::AnswerConstraint(const Tokenizer& tokenizer, const Constraint& constraint,
                                   AnswerStream::Reasoning reasoning)
    : tokenizer_(tokenizer), state_(constraint.start()), phase_(Phase::kAnswer) {
  if (reasoning == AnswerStream::Reasoning::kHasBegun) phase_ = Phase::kThinking;
  if (reasoning == AnswerStream::Reasoning::kMayBegin) {
    // A model that thinks has a token for it.
    think_token_ = tokenizer.id(kOpen);
    if (think_token_) phase_ = Phase::kMayThink;
  }
}

Result<std::span<const uint32_t>> AnswerConstraint::allowed() {
  if (phase_ == Phase::kThinking) return std::span<const uint32_t>();
  FATHOM_TRY(const std::span<const uint32_t> mask, state_->mask());
  if (phase_ == Phase::kAnswer) return mask;
  mask_.assign(mask.begin(), mask.end());
  const auto token = static_cast<size_t>(*think_token_);
  if (token / 32 < mask_.size()) mask_[token / 32] |= 1U << (token % 32);
  return std::span<const uint32_t>(mask_);
}

Status AnswerConstraint::say(int32_t token) {
  if (phase_ == Phase::kMayThink) {
    phase_ = token == think_token_ ? Phase::kThinking : Phase::kAnswer;
    if (phase_ == Phase::kThinking) return {};
  }
  if (phase_ == Phase::kThinking) return think(token);
  return state_->accept(token);
}

// What stands behind the closing tag in the same token belongs to the answer.
Status AnswerConstraint::think(int32_t token) {
  tail_ += tokenizer_.is_special(token) ? tokenizer_.piece(token) : tokenizer_.token_bytes(token);
  const size_t close = tail_.find(kClose);
  if (close == std::string::npos) {
    tail_.erase(0, tail_.size() - std::min(tail_.size(), kClose.size() - 1));
    return {};
  }
  phase_ = Phase::kAnswer;
  const size_t word = tail_.find_first_not_of(kSpace, close + kClose.size());
  if (word == std::string::npos) return {};
  return state_->accept_text(std::string_view(tail_).substr(word));
}

}  // namespace fathom
