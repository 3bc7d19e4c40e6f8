#include "serve/generation.h"

#include <algorithm>
#include <utility>

#include "serve/best_of.h"

namespace fathom::serve {
namespace {

ApiError error_of(const Refusal& refusal, const ServingStats& stats) {
  switch (refusal.kind) {
    case Refusal::Kind::kInvalid:
      return {.status = 400, .message = refusal.message};
    case Refusal::Kind::kQueueFull: {
      // Until the queue has moved by a tenth, at the speed at which answers have ended so far.
      const double seconds_each =
          stats.answers_ended == 0 ? 1.0
                                   : stats.total_seconds / static_cast<double>(stats.answers_ended);
      const double wait = seconds_each * static_cast<double>(stats.waiting) / 10;
      return {.status = 429,
              .message = refusal.message,
              .code = "queue_full",
              .retry_after = std::clamp(static_cast<int>(wait), 1, 60)};
    }
    case Refusal::Kind::kStopping:
      break;
  }
  return {.status = 503, .message = "The server is stopping.", .code = "stopping"};
}

// A format under which the answer could not go on is the request's own doing.
ApiError failure(const Error& error) {
  return {.status = error.kind == ErrorKind::kUsage ? 400 : 500,
          .message = error.message,
          .code = "generation_failed"};
}

}  // namespace

// Passes on the events of one prompt.
class Generation::Sink : public AnswerSink {
 public:
  Sink(std::shared_ptr<Generation> owner, size_t prompt, int32_t answers)
      : owner_(std::move(owner)), prompt_(prompt), answers_(static_cast<size_t>(answers)) {}

  void on_prompt_scores(const std::vector<ScoredToken>& tokens) override {
    owner_->add_prompt_scores(prompt_, tokens);
  }
  void on_chunk(const AnswerChunk& chunk) override {
    owner_->add_chunk(choice(chunk.answer), chunk);
  }
  void on_end(const AnswerEnd& end) override {
    owner_->add_end(choice(end.answer), end.answer == 0, end);
  }

 private:
  size_t choice(int32_t answer) const { return prompt_ * answers_ + static_cast<size_t>(answer); }

  const std::shared_ptr<Generation> owner_;
  const size_t prompt_;
  const size_t answers_;
};

void Generation::start(ServingEngine& engine, std::vector<Request> requests, Call call) {
  const auto generation = std::make_shared<Generation>(engine, requests.size(),
                                                       requests.front().answers, std::move(call));
  generation->watch_client();
  generation->submit(std::move(requests));
}

std::shared_ptr<AnswerSink> Generation::adopt(ServingEngine& engine, RequestId id, int32_t answers,
                                              Call call) {
  const auto generation = std::make_shared<Generation>(engine, 1, answers, std::move(call));
  generation->ids_.push_back(id);
  generation->watch_client();
  return std::make_shared<Sink>(generation, 0, answers);
}

void Generation::watch_client() {
  call_.exchange->on_gone([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->cancel();
  });
}

Generation::Generation(ServingEngine& engine, size_t prompts, int32_t answers, Call call)
    : engine_(engine),
      call_(std::move(call)),
      answers_(static_cast<size_t>(answers)),
      choices_(prompts * answers_),
      progress_(choices_.size()),
      open_answers_(choices_.size()) {}

void Generation::submit(std::vector<Request> requests) {
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].sink = std::make_shared<Sink>(shared_from_this(), i, requests[i].answers);
    const auto id = engine_.submit(std::move(requests[i]));
    if (!id) {
      refuse(id.error());
      return;
    }
    bool cancel_it = false;
    {
      const std::lock_guard lock(ids_mutex_);
      ids_.push_back(*id);
      cancel_it = cancelled_;
    }
    if (cancel_it) engine_.cancel(*id);
  }
}

void Generation::cancel() {
  std::vector<RequestId> ids;
  {
    const std::lock_guard lock(ids_mutex_);
    cancelled_ = true;
    ids = ids_;
  }
  for (const RequestId id : ids) engine_.cancel(id);
}

// The engine did not take a prompt: those it took before are in vain.
void Generation::refuse(const Refusal& refusal) {
  {
    const std::lock_guard lock(mutex_);
    if (done_) return;
    done_ = true;
    const ApiError error = error_of(refusal, engine_.stats());
    outcome_.outcome = "refused";
    call_.on_done(outcome_);
    if (begun_) {
      call_.exchange->write(call_.writer->stream_error(error));
      call_.exchange->end();
    } else {
      respond(error_response(error));
    }
  }
  cancel();
}

void Generation::add_prompt_scores(size_t prompt, const std::vector<ScoredToken>& tokens) {
  const std::lock_guard lock(mutex_);
  // Every answer to a prompt shows them.
  for (size_t i = prompt * answers_; i < (prompt + 1) * answers_; ++i) {
    auto& scores = choices_[i].prompt_scores;
    scores.insert(scores.end(), tokens.begin(), tokens.end());
  }
}

void Generation::count_reasoning(size_t choice, const AnswerChunk& chunk) {
  int64_t& undecided = progress_[choice].undecided;
  undecided += static_cast<int64_t>(chunk.tokens.size());
  if (chunk.parts.empty()) return;
  if (chunk.parts.front().reasoning) outcome_.usage.reasoning_tokens += undecided;
  undecided = 0;
}

void Generation::add_chunk(size_t choice, const AnswerChunk& chunk) {
  const std::lock_guard lock(mutex_);
  if (done_) return;
  Progress& progress = progress_[choice];
  if (!chunk.tokens.empty()) {
    if (progress.last_token > 0) {
      const auto count = static_cast<double>(chunk.tokens.size());
      call_.metrics->next_token((chunk.seconds - progress.last_token) / count);
    }
    progress.last_token = chunk.seconds;
  }
  count_reasoning(choice, chunk);
  if (call_.stream) {
    AnswerChunk numbered = chunk;
    numbered.answer = static_cast<int32_t>(choice);
    send(call_.writer->chunk(numbered.answer, numbered));
    return;
  }
  Choice& kept = choices_[choice];
  for (const TextPart& part : chunk.parts)
    (part.reasoning ? kept.reasoning : kept.text) += part.text;
  if (call_.keep_scores) {
    kept.tokens.insert(kept.tokens.end(), chunk.tokens.begin(), chunk.tokens.end());
  }
}

void Generation::add_end(size_t choice, bool is_first_of_prompt, const AnswerEnd& end) {
  const std::lock_guard lock(mutex_);
  Usage& usage = outcome_.usage;
  if (is_first_of_prompt) {
    usage.prompt_tokens += end.prompt_tokens;
    usage.cached_tokens += end.cached_tokens;
  }
  usage.completion_tokens += end.completion_tokens;
  if (end.first_token_seconds > 0) {
    double& first = outcome_.first_token_seconds;
    const double seconds = end.first_token_seconds + call_.waited;
    first = first > 0 ? std::min(first, seconds) : seconds;
    if (first == seconds) call_.metrics->first_token(first);
  }
  if (end.error) {
    error_ = end.error;
  } else if (end.reason == FinishReason::kCancelled) {
    stopped_by_us_ = true;
  } else if (call_.stream && !done_) {
    send(call_.writer->choice_end(static_cast<int32_t>(choice), end));
  }
  choices_[choice].end = end;
  if (--open_answers_ == 0 && !done_) finish();
}

void Generation::respond(HttpResponse response) {
  response.headers.insert(response.headers.end(), call_.headers.begin(), call_.headers.end());
  call_.metrics->response(response.status);
  call_.exchange->respond(response);
}

// The head waits for the first event, so that what goes wrong before has a status of its own.
void Generation::send(const std::string& events) {
  if (!begun_) {
    HttpResponse head{.content_type = "text/event-stream", .headers = call_.headers};
    head.headers.emplace_back("Cache-Control", "no-cache");
    call_.metrics->response(head.status);
    call_.exchange->begin(head);
    begun_ = true;
  }
  call_.exchange->write(events);
}

void Generation::finish() {
  done_ = true;
  const bool gone = call_.exchange->gone();
  std::string& outcome = outcome_.outcome;
  if (error_) {
    outcome = "failed";
  } else if (gone || stopped_by_us_) {
    outcome = "cancelled";
  } else {
    outcome = std::string(name(choices_.front().end.reason));
  }
  // Accounts first: who has the answer finds it counted.
  call_.on_done(outcome_);
  if (outcome == "failed" || outcome == "cancelled") {
    const ApiError error =
        error_ ? failure(*error_)
               : ApiError{.status = 503, .message = "The server is stopping.", .code = "stopping"};
    if (begun_) {
      call_.exchange->write(call_.writer->stream_error(error));
      call_.exchange->end();
    } else if (!gone) {
      respond(error_response(error));
    }
  } else if (call_.stream) {
    send(call_.writer->stream_end(outcome_.usage));
    call_.exchange->end();
  } else {
    if (call_.best > 0) {
      choices_ = best_choices(std::move(choices_), answers_, static_cast<size_t>(call_.best));
    }
    respond({.body = call_.writer->whole(choices_, outcome_.usage)});
  }
}

}  // namespace fathom::serve
