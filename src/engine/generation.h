// One answer (or embedding) while it grows: draws tokens from its sequence's logits, scores them,
// turns them into text, and tells the request's sink. A ServingEngine has one for each sequence of
// its scheduler; it stays as it is while the sequence is preempted.
//
// draw() and pool() may run on any thread, beside those of other generations; all else, and the
// sink, on the engine's. Times are seconds since the request was submitted.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/answer_constraint.h"
#include "engine/answer_stream.h"
#include "engine/engine.h"
#include "engine/request.h"
#include "engine/sampler.h"

namespace fathom {

class Generation {
 public:
  // limit: the most tokens of the answer. The other arguments must outlive it.
  Generation(const Engine& engine, const Request& request, int32_t answer, int64_t limit);
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // What it needs of the rows that are computed next: logits of all, or hidden states, or else the
  // logits of the last known token.
  bool wants_every_logit() const { return scores_prompt_ && prompt_scored_ < prompt_size(); }
  bool wants_hidden_states() const { return request_.pooling != Pooling::kNone; }

  // Rows of the sequence from `position` on were computed. logits: [*, vocab] of the rows that were
  // wanted; last: nothing known remains, so the next token is drawn from the last of them.
  // guesses: of how the sequence goes on, which were computed behind what is known of it; then
  // logits has a row for each and one before, and tokens are drawn as long as they turn out as was
  // guessed. Each is drawn as without guesses, so they change nothing but how many come at once.
  void draw(std::span<const float> logits, int64_t position, int64_t rows, bool last,
            std::span<const int32_t> guesses = {});
  // hidden_states: [rows, hidden_size]; last: the embedding is complete.
  void pool(std::span<const float> hidden_states, int64_t position, int64_t rows, bool last);
  // Applies what draw() or pool() found and tells the sink. If the answer goes on and `last` was
  // set, tokens() continue it: the guesses that were right, and one more.
  void advance(double seconds);
  std::span<const int32_t> tokens() const { return drawn_tokens_; }
  // How many tokens may still come after the next.
  int64_t room() const { return limit_ - completion_tokens_ - 1; }

  // Ends it from outside; does nothing after the end.
  void end(FinishReason reason, std::optional<Error> error = {});
  bool ended() const { return ended_; }
  bool failed() const { return error_.has_value(); }
  bool cancelled() const { return ended_ && !error_ && reason_ == FinishReason::kCancelled; }
  int64_t completion_tokens() const { return completion_tokens_; }
  // Completes `end` with all that is known here, and hands it to the sink. Once, after the end.
  void report(AnswerEnd end);

 private:
  int64_t prompt_size() const { return std::ssize(request_.prompt); }
  void score_prompt(std::span<const float> logits, int64_t position, int64_t rows);
  void draw_token(std::span<const float> logits);
  int32_t choose_token(std::span<const float> logits);
  bool goes_on() const;
  void take(const ScoredToken& token, bool last);

  const Engine& engine_;
  const Request& request_;
  const int32_t answer_;
  const int64_t limit_;
  const bool scores_prompt_;  // only the first answer of a request does

  AnswerChunk chunk_;       // being filled
  const OnPiece on_piece_;  // into chunk_
  AnswerStream stream_;
  Sampler sampler_;
  std::optional<AnswerConstraint> constraint_;

  // What draw() and pool() found, for advance().
  bool broken_ = false;  // a logit or a hidden state is not a number
  std::optional<Error> constraint_failure_;
  bool complete_ = false;  // an answer of no tokens
  std::vector<ScoredToken> drawn_;
  std::vector<int32_t> drawn_tokens_;
  std::vector<ScoredToken> prompt_scores_;
  int64_t prompt_scored_ = 0;     // tokens of the prompt with scores so far: none is scored twice
  std::vector<double> pooled_;    // [hidden_size], a sum
  std::vector<float> embedding_;  // complete if not empty

  int64_t completion_tokens_ = 0;
  double first_token_seconds_ = 0;
  bool ended_ = false;
  FinishReason reason_ = FinishReason::kStop;
  std::optional<Error> error_;
};

}  // namespace fathom
