#include "engine/speculation/speculator.h"

#include <algorithm>
#include <utility>

#include "engine/speculation/verify.h"

namespace fathom {

Speculator::Speculator(std::unique_ptr<Drafter> drafter, int64_t most_tokens)
    : drafter_(std::move(drafter)), policy_(most_tokens) {}

void Speculator::begin(const SamplingOptions& options) {
  drafter_->begin(options);
  drafted_ = 0;
  accepted_ = 0;
}

Result<const Draft*> Speculator::draft(std::span<const int32_t> tokens, int64_t room) {
  const auto start = Clock::now();
  draft_.clear();
  step_ = {};
  const int64_t limit = std::min(policy_.next(), room);
  if (limit > 0) FATHOM_CHECK(drafter_->propose(tokens, limit, draft_));
  step_.drafted = draft_.size();
  step_begin_ = Clock::now();
  step_.draft_seconds = std::chrono::duration<double>(step_begin_ - start).count();
  return &draft_;
}

void Speculator::verify(std::span<const float> logits, Sampler& sampler,
                        std::vector<int32_t>& said) {
  step_.accepted = fathom::verify(logits, draft_, sampler, said);
  step_.step_seconds = std::chrono::duration<double>(Clock::now() - step_begin_).count();
  policy_.record(step_);
  drafted_ += step_.drafted;
  accepted_ += step_.accepted;
}

}  // namespace fathom
