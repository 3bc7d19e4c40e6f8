// The engine's thread: takes in what came, steps while there is work, and shows what is new.
#include "engine/serving_impl.h"
#include "layers/lora.h"

namespace fathom {

namespace {

// A row whose logits are all wanted costs the output head and vocab_size floats.
constexpr int64_t kRowsWithEveryLogit = 32;

}  // namespace

void ServingEngine::Impl::run() {
  for (bool stop = false; !stop;) {
    std::vector<std::unique_ptr<Taken>> arrived;
    std::vector<RequestId> cancelled;
    {
      std::unique_lock lock(mutex);
      work.wait(lock, [this] {
        return stopping || !answers.empty() || !inbox.empty() || !cancellations.empty();
      });
      arrived.swap(inbox);
      cancelled.swap(cancellations);
      stop = stopping;
    }
    for (auto& request : arrived) begin(std::move(request));
    for (const RequestId id : cancelled) cancel_now(id);
    if (stop) {
      while (!taken.empty()) cancel_now(taken.begin()->first);
    }
    if (!answers.empty()) step();
    publish();
  }
}

void ServingEngine::Impl::begin(std::unique_ptr<Taken> arrived) {
  Taken& request = *arrived;
  taken.emplace(request.id, std::move(arrived));
  const auto& prompt = request.request.prompt;
  if (!request.request.adapter) request.request.adapter = engine->adapter;
  const LoraWeights* adapter = request.request.adapter.get();
  const int64_t room = context - std::ssize(prompt);
  const int64_t wanted = request.request.options.max_tokens;
  const int64_t limit = wanted < 0 ? room : std::min(wanted, room);
  for (int32_t i = 0; i < request.request.answers; ++i) {
    const bool scores_prompt = request.request.score_prompt && i == 0;
    const SequenceId id =
        scheduler.add({.prompt = prompt,
                       .priority = request.request.priority,
                       .every_row = scores_prompt || request.request.pooling == Pooling::kMean,
                       .max_rows = scores_prompt ? kRowsWithEveryLogit : 0,
                       .realm = adapter != nullptr ? adapter->id() : 0});
    request.sequences.push_back(id);
    answers.emplace(id, std::make_unique<Answer>(*engine, request, i, limit));
  }
}

void ServingEngine::Impl::cancel_now(RequestId id) {
  const auto found = taken.find(id);
  if (found == taken.end()) return;
  const std::vector<SequenceId> sequences = found->second->sequences;
  for (const SequenceId sequence : sequences) {
    answers.at(sequence)->generation.end(FinishReason::kCancelled);
    end_answer(sequence);
  }
}

void ServingEngine::Impl::end_answer(SequenceId id) {
  const auto found = answers.find(id);
  Answer& answer = *found->second;
  Taken& request = answer.taken;
  const Generation& generation = answer.generation;
  stats.answer_tokens += static_cast<uint64_t>(generation.completion_tokens());
  ++(generation.failed()      ? stats.answers_failed
     : generation.cancelled() ? stats.answers_cancelled
                              : stats.answers_ended);
  AnswerEnd end;
  end.cached_tokens = scheduler.cached_tokens(id);
  end.preemptions = scheduler.preemptions(id);
  end.queued_seconds = answer.queued_seconds;
  end.seconds = seconds_since(request.submitted);
  scheduler.finish(id);
  if (drafting.drafter) drafting.drafter->forget(id);
  answer.generation.report(std::move(end));
  answers.erase(found);
  std::erase(request.sequences, id);
  if (!request.sequences.empty()) return;
  taken.erase(request.id);
  ++requests_ended;
}

// Before the first token of an answer can be seen: whoever saw it counts on its place in the queue.
void ServingEngine::Impl::count_queued() {
  const std::lock_guard lock(mutex);
  queued = scheduler.waiting();
  for (const auto& request : inbox) queued += request->request.answers;
}

// Shows the state after this step to other threads. Only here does a request stop being open, so
// that who has waited for the last one (drain) finds its tokens counted.
void ServingEngine::Impl::publish() {
  stats.running = scheduler.running();
  stats.pages_cached = scheduler.prefixes().evictable();
  stats.pages_used = scheduler.pages_used();
  stats.pages_touched = cache.touched_pages();
  stats.preemptions = scheduler.preemptions();
  stats.evicted_pages = static_cast<uint64_t>(scheduler.prefixes().evicted());
  count_queued();
  const std::lock_guard lock(mutex);
  published = stats;
  open -= std::exchange(requests_ended, 0);
  if (open == 0) idle.notify_all();
}

}  // namespace fathom
