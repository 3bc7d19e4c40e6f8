#include "serve/probe.h"

#include <algorithm>
#include <utility>

namespace fathom::serve {

void Probe::start(ServingEngine& lite, Request request, Call call) {
  const auto probe = std::make_shared<Probe>(lite, request.answers, std::move(call));
  probe->call_.exchange->on_gone([weak = std::weak_ptr(probe)] {
    if (const auto self = weak.lock()) self->cancel();
  });
  request.sink = probe;
  probe->submit(std::move(request));
}

Probe::Probe(ServingEngine& lite, int32_t answers, Call call)
    : lite_(lite),
      call_(std::move(call)),
      answers_(static_cast<size_t>(answers)),
      open_(answers_.size()) {}

void Probe::submit(Request request) {
  bool taken = false;
  {
    const std::lock_guard lock(id_mutex_);
    const auto id = lite_.submit(std::move(request));
    taken = id.has_value();
    if (taken) id_ = *id;
    if (taken && cancelled_) lite_.cancel(id_);
  }
  // Too long for Lite, or too many wait for it: V1 may do better.
  if (!taken) call_.escalate(0, true);
}

void Probe::cancel() {
  const std::lock_guard lock(id_mutex_);
  cancelled_ = true;
  if (id_ != 0) lite_.cancel(id_);
}

RequestId Probe::id() {
  const std::lock_guard lock(id_mutex_);
  return id_;
}

void Probe::on_chunk(const AnswerChunk& chunk) {
  if (target_) return target_->on_chunk(chunk);
  if (escalated_) return;
  Watched& answer = answers_[static_cast<size_t>(chunk.answer)];
  for (const ScoredToken& token : chunk.tokens) {
    ++answer.tokens;
    if (call_.policy.judge == route::Judge::kFirstTokens && answer.tokens > call_.policy.tokens) {
      break;
    }
    ++sums_.tokens;
    sums_.mean_logprob += static_cast<double>(token.logprob.value_or(0));
    sums_.mean_entropy += static_cast<double>(token.entropy.value_or(0));
  }
  held_.emplace_back(chunk);
  if (is_certain()) judge();
}

void Probe::on_end(const AnswerEnd& end) {
  --open_;
  if (target_) return target_->on_end(end);
  if (end.answer == 0) {
    usage_.prompt_tokens = end.prompt_tokens;
    usage_.cached_tokens = end.cached_tokens;
  }
  usage_.completion_tokens += end.completion_tokens;
  if (!escalated_) {
    held_.emplace_back(end);
    answers_[static_cast<size_t>(end.answer)].ended = true;
    if (end.error) {
      sums_ = {};  // nothing speaks for an answer that failed
      judge();
    } else if (end.reason == FinishReason::kCancelled) {
      keep(0);
    } else if (is_certain()) {
      judge();
    }
  }
  if (escalated_ && open_ == 0) call_.dropped(usage_);
}

bool Probe::is_certain() const {
  return std::ranges::all_of(answers_, [&](const Watched& answer) {
    return answer.ended || (call_.policy.judge == route::Judge::kFirstTokens &&
                            answer.tokens >= call_.policy.tokens);
  });
}

void Probe::judge() {
  route::Evidence evidence = sums_;
  if (evidence.tokens > 0) {
    evidence.mean_logprob /= static_cast<double>(evidence.tokens);
    evidence.mean_entropy /= static_cast<double>(evidence.tokens);
  }
  const double confidence = route::confidence_in(call_.policy, evidence);
  if (confidence >= call_.policy.threshold) return keep(confidence);
  escalated_ = true;
  held_.clear();
  if (open_ > 0) lite_.cancel(id());
  call_.escalate(confidence, false);
}

void Probe::keep(double confidence) {
  target_ = call_.keep(id(), confidence);
  for (const auto& event : std::exchange(held_, {})) {
    if (const auto* chunk = std::get_if<AnswerChunk>(&event)) {
      target_->on_chunk(*chunk);
    } else {
      target_->on_end(std::get<AnswerEnd>(event));
    }
  }
}

}  // namespace fathom::serve
