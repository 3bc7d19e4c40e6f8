// One sequence's speculative decoding: a drafter, the policy that says how much to draft, the check
// of a draft, and the count of what came of it. For whoever runs the model's steps:
//
//   const Draft& draft = speculator.draft(tokens, room);    // tokens: all, the last not computed
//   ... forward() over the last token and draft.tokens, with logits of all of them ...
//   speculator.verify(logits, sampler, said);               // appends what the model says
//   ... drop the rejected tokens from the KV cache ...
//   speculator.observe(position, tokens, hidden);           // if observes()
//
// Called as a Drafter is. Between draft() and verify() is the time that the policy counts as the
// cost of the step.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "engine/speculation/draft_policy.h"
#include "engine/speculation/drafter.h"

namespace fathom {

class Speculator {
 public:
  Speculator(std::unique_ptr<Drafter> drafter, int64_t most_tokens);

  // A new answer; what was learnt of costs and acceptance stays.
  void begin(const SamplingOptions& options);

  // Tokens to compute together with the last of `tokens`: at most `room`, often fewer or none.
  Result<const Draft*> draft(std::span<const int32_t> tokens, int64_t room);
  // logits [draft.size() + 1, vocab]. Appends at least one token to `said`; all but the last of
  // what it appends are the accepted beginning of the draft.
  void verify(std::span<const float> logits, Sampler& sampler, std::vector<int32_t>& said);

  bool observes() const { return drafter_->observes(); }
  Status observe(int64_t position, std::span<const int32_t> tokens, std::span<const float> hidden) {
    return drafter_->observe(position, tokens, hidden);
  }

  // Of the present answer.
  int64_t drafted() const { return drafted_; }
  int64_t accepted() const { return accepted_; }

 private:
  using Clock = std::chrono::steady_clock;

  std::unique_ptr<Drafter> drafter_;
  DraftPolicy policy_;
  Draft draft_;
  DraftPolicy::Step step_;
  Clock::time_point step_begin_;
  int64_t drafted_ = 0;
  int64_t accepted_ = 0;
};

}  // namespace fathom
