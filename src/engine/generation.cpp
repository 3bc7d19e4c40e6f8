#include "engine/generation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "engine/softmax.h"
#include "engine/token_scores.h"

namespace fathom {

namespace {

SamplingOptions for_answer(SamplingOptions options, int32_t answer) {
  if (options.seed) *options.seed += static_cast<uint64_t>(answer);
  return options;
}

}  // namespace

Generation::Generation(const Engine& engine, const Request& request, int32_t answer, int64_t limit)
    : engine_(engine),
      request_(request),
      answer_(answer),
      limit_(limit),
      scores_prompt_(request.score_prompt && answer == 0),
      on_piece_([this](const Piece& piece) {
        if (!piece.text.empty()) {
          chunk_.parts.push_back({.text = std::string(piece.text), .reasoning = piece.reasoning});
        }
        return true;
      }),
      stream_(engine.tokenizer.get(), request.options.stop, request.reasoning, on_piece_,
              request.keep_special),
      sampler_(for_answer(request.options.sampling, answer), request.prompt) {
  chunk_.answer = answer;
  if (request.constraint) {
    constraint_.emplace(*engine.tokenizer, *request.constraint, request.reasoning);
  }
}

void Generation::draw(std::span<const float> logits, int64_t position, int64_t rows, bool last,
                      std::span<const int32_t> guesses) {
  drawn_tokens_.clear();
  broken_ = has_nan(logits);
  if (broken_ || logits.empty()) return;
  if (wants_every_logit()) score_prompt(logits, position, rows);
  if (!last) return;
  if (limit_ == 0) {  // only the prompt was of interest
    complete_ = true;
    return;
  }
  const auto vocab = static_cast<size_t>(engine_.info.vocab_size);
  logits = logits.last((guesses.size() + 1) * vocab);
  draw_token(logits.first(vocab));
  for (size_t i = 0; i < guesses.size(); ++i) {
    if (constraint_failure_ || drawn_tokens_.back() != guesses[i] || !goes_on()) return;
    draw_token(logits.subspan((i + 1) * vocab, vocab));
  }
}

void Generation::draw_token(std::span<const float> logits) {
  const int32_t token = choose_token(logits);
  if (constraint_failure_) return;
  drawn_tokens_.push_back(token);
  drawn_.push_back({.token = token, .logprob = {}, .top = {}});
  if (!request_.logprobs) return;
  drawn_.back() = score_token(logits, token, *request_.logprobs);
  if (request_.entropies) drawn_.back().entropy = entropy_of(logits);
}

// Whether anything may follow what was drawn last, as far as can be told before its text.
bool Generation::goes_on() const {
  if (constraint_ && constraint_->complete()) return false;
  return !((request_.options.stop_at_eos || constraint_) &&
           engine_.ends_answer(drawn_tokens_.back()));
}

int32_t Generation::choose_token(std::span<const float> logits) {
  if (!constraint_) return sampler_.sample(logits);
  const auto allowed = constraint_->allowed();
  if (!allowed) {
    constraint_failure_ = allowed.error();
    return 0;
  }
  const int32_t token = sampler_.sample(logits, *allowed);
  if (engine_.ends_answer(token)) return token;
  if (const Status accepted = constraint_->say(token); !accepted) {
    constraint_failure_ = accepted.error();
  }
  return token;
}

// Row i tells what the model expects at position + i + 1.
void Generation::score_prompt(std::span<const float> logits, int64_t position, int64_t rows) {
  const auto vocab = static_cast<size_t>(engine_.info.vocab_size);
  const auto& prompt = request_.prompt;
  if (prompt_scored_ == 0) {
    prompt_scores_.push_back({.token = prompt[0], .logprob = {}, .top = {}});
    prompt_scored_ = 1;
  }
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t at = position + i + 1;
    if (at != prompt_scored_ || at >= prompt_size()) continue;
    prompt_scores_.push_back(score_token(logits.subspan(static_cast<size_t>(i) * vocab, vocab),
                                         prompt[static_cast<size_t>(at)],
                                         request_.logprobs.value_or(0)));
    ++prompt_scored_;
  }
}

void Generation::pool(std::span<const float> hidden_states, int64_t position, int64_t rows,
                      bool last) {
  broken_ = has_nan(hidden_states);
  if (broken_) return;
  const size_t width = hidden_states.size() / static_cast<size_t>(rows);
  // Again from the beginning after a preemption.
  if (position == 0 || request_.pooling == Pooling::kLast) pooled_.assign(width, 0.0);
  const bool mean = request_.pooling == Pooling::kMean;
  for (size_t i = mean ? 0 : hidden_states.size() - width; i < hidden_states.size(); ++i) {
    pooled_[i % width] += static_cast<double>(hidden_states[i]);
  }
  if (!last) return;
  double square = 0;
  for (const double x : pooled_) square += x * x;
  const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
  for (const double x : pooled_) embedding_.push_back(static_cast<float>(x * scale));
}

void Generation::advance(double seconds) {
  if (ended_) return;
  if (broken_) {
    return end(
        FinishReason::kCancelled,
        Error{fmt::format("{} computed numbers that are none: its weights are damaged or not "
                          "meant for this architecture.",
                          engine_.checkpoint->path().string())});
  }
  if (constraint_failure_) return end(FinishReason::kCancelled, constraint_failure_);
  if (!prompt_scores_.empty()) {
    request_.sink->on_prompt_scores(prompt_scores_);
    prompt_scores_.clear();
  }
  if (!embedding_.empty()) return end(FinishReason::kStop);
  if (complete_) return end(FinishReason::kLength);
  if (drawn_.empty()) return;
  if (first_token_seconds_ == 0) first_token_seconds_ = seconds;
  chunk_.seconds = seconds;
  for (size_t i = 0; i < drawn_.size() && !ended_; ++i) take(drawn_[i], i + 1 == drawn_.size());
  drawn_.clear();
  if (ended_) return;
  request_.sink->on_chunk(chunk_);
  chunk_.parts.clear();
  chunk_.tokens.clear();
}

// last: of those that were drawn together, which all are part of the constraint's state already.
void Generation::take(const ScoredToken& token, bool last) {
  const bool may_end = request_.options.stop_at_eos || constraint_;
  if (may_end && engine_.ends_answer(token.token)) return end(FinishReason::kStop);
  ++completion_tokens_;
  chunk_.tokens.push_back(token);
  stream_.push(token.token);
  if (stream_.ended()) return end(stream_.reason());
  if (last && constraint_ && constraint_->complete()) return end(FinishReason::kStop);
  if (completion_tokens_ == limit_) end(FinishReason::kLength);
}

void Generation::end(FinishReason reason, std::optional<Error> error) {
  if (std::exchange(ended_, true)) return;
  reason_ = reason;
  error_ = std::move(error);
  if (!stream_.ended()) stream_.finish(reason);
  if (!chunk_.parts.empty() || !chunk_.tokens.empty()) request_.sink->on_chunk(chunk_);
}

void Generation::report(AnswerEnd end) {
  FATHOM_ASSERT(ended_);
  end.answer = answer_;
  end.reason = reason_;
  end.error = error_;
  end.prompt_tokens = prompt_size();
  end.completion_tokens = completion_tokens_;
  end.first_token_seconds = first_token_seconds_;
  end.embedding = std::move(embedding_);
  request_.sink->on_end(end);
}

}  // namespace fathom
