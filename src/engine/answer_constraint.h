// The constraint of one answer, token by token: which may be drawn, and whether the answer is
// complete. A reasoning model's thoughts are free; the constraint begins with the answer.
// One thread at a time. Tokenizer and Constraint must outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/answer_stream.h"
#include "text/constraint.h"

namespace fathom {

class AnswerConstraint {
 public:
  AnswerConstraint(const Tokenizer& tokenizer, const Constraint& constraint,
                   AnswerStream::Reasoning reasoning);

  // The tokens that may be drawn next, as Sampler::sample() takes them; empty: all. Valid until the
  // next call.
  Result<std::span<const uint32_t>> allowed();
  // `token`, one of them, was drawn, and does not end the answer.
  Status say(int32_t token);
  // Nothing may follow.
  bool complete() const { return state_->complete(); }

 private:
  enum class Phase { kMayThink, kThinking, kAnswer };

  Status think(int32_t token);

  const Tokenizer& tokenizer_;
  std::unique_ptr<ConstraintState> state_;
  Phase phase_;
  std::optional<int32_t> think_token_;  // that begins thoughts
  std::string tail_;                    // of the thoughts: where the closing tag may begin
  std::vector<uint32_t> mask_;          // with think_token_
};

}  // namespace fathom
