// One step of the model for all sequences: what is guessed, what is computed, and what each answer
// makes of it.
#include "engine/serving_impl.h"

namespace fathom {

void ServingEngine::Impl::step() {
  std::unique_lock<Turns> turn;
  if (options.turns != nullptr) turn = std::unique_lock(*options.turns);
  const std::lock_guard lock(engine->compute);
  const auto begin_time = Clock::now();
  scheduler.list_decoding(decoding);
  const double draft_seconds = guess();
  int64_t rows_decoding = std::ssize(decoding);
  for (const DraftOrder& order : orders) rows_decoding += std::ssize(order.guesses);
  const auto& plan = scheduler.plan(pacer.limits(rows_decoding, scheduler.incoming()));
  const int64_t prompt_rows = scheduler.planned_prompt_rows();
  count_queued();
  const auto planned_time = Clock::now();
  compute(plan);

  const auto drawn_time = Clock::now();
  BatchDraftPolicy::Step guessing{.draft_seconds = draft_seconds,
                                  .step_seconds = seconds_between(planned_time, drawn_time),
                                  .has_prompts = prompt_rows > 0};
  ServedStep served{.prompt_rows = prompt_rows,
                    .model_seconds = seconds_between(planned_time, drawn_time)};
  std::vector<SequenceId> ended;
  for (size_t i = 0; i < plan.size(); ++i) {
    const ScheduledSequence& work_done = plan[i];
    Answer& answer = *rows[i].answer;
    if (work_done.first) {
      answer.queued_seconds = seconds_between(answer.taken.submitted, begin_time);
    }
    // Prompts are the rest of the plan.
    if (std::ssize(work_done.tokens) == 1 + work_done.guesses && answer.prompt_done) {
      served.decode_context += work_done.position;
      ++guessing.decoding;
      guessing.drafted += work_done.guesses;
      guessing.said += std::ssize(answer.generation.tokens());
      judge_guesses(work_done, answer);
    } else {
      served.prompt_context += work_done.position * std::ssize(work_done.tokens);
    }
    if (work_done.last) ++served.logits;
    observe(work_done, rows[i]);
    if (work_done.last && !std::exchange(answer.prompt_done, true)) {
      stats.prompt_tokens += answer.taken.request.prompt.size();
      stats.cached_tokens += static_cast<uint64_t>(scheduler.cached_tokens(work_done.id));
    }
    answer.generation.advance(seconds_between(answer.taken.submitted, drawn_time));
    if (answer.generation.ended()) {
      ended.push_back(work_done.id);
    } else if (work_done.last) {
      scheduler.append(work_done.id, answer.generation.tokens());
    }
  }
  if (drafting.drafter) drafting.drafter->settle();
  for (const SequenceId id : ended) end_answer(id);
  if (drafting.drafter && guessing.decoding > 0) draft_policy.record(guessing);

  if (options.observer != nullptr) {
    served.decode_rows = batch.tokens() - prompt_rows;
    options.observer->on_step(served);
  }
  const double seconds = seconds_since(begin_time);
  pacer.observe(batch.tokens() - prompt_rows, prompt_rows, seconds);
  ++stats.steps;
  stats.total_seconds += seconds;
  stats.draft_seconds += draft_seconds;
  stats.step_seconds = seconds;
  stats.step_rows = batch.tokens();
  stats.step_prompt_rows = prompt_rows;
  stats.computed_tokens += static_cast<uint64_t>(stats.step_rows);
  stats.decode_step_seconds = pacer.decode_step_seconds(std::max<int64_t>(std::ssize(decoding), 1));
  const double row = pacer.prompt_row_seconds();
  stats.prompt_rows_per_second = row > 0 ? 1 / row : 0;
}

// Lets the scheduler know how the sequences that decode may go on. Returns the seconds it took.
double ServingEngine::Impl::guess() {
  orders.clear();
  choices.clear();
  if (!drafting.drafter || decoding.empty()) return 0;
  for (const Scheduler::Decoding& sequence : decoding) {
    const Answer& answer = *answers.at(sequence.id);
    const int64_t most = std::min(drafting.most_tokens, answer.generation.room());
    if (most <= 0 || answer.generation.wants_hidden_states()) continue;
    orders.push_back({.sequence = sequence.id, .tokens = sequence.tokens, .limit = most});
    choices.push_back({.rate = &answer.guessed_right, .most = most});
  }
  if (orders.empty()) return 0;
  double seconds = 0;
  // What costs nothing is looked at before it is decided for whom to guess.
  const bool free = drafting.drafter->is_free();
  if (free) {
    seconds = drafting.drafter->propose(orders);
    for (size_t i = 0; i < orders.size(); ++i) choices[i].most = std::ssize(orders[i].guesses);
  }
  draft_policy.choose(std::ssize(decoding), choices);
  for (size_t i = 0; i < orders.size(); ++i) {
    orders[i].limit = choices[i].length;
    if (free) orders[i].guesses.resize(static_cast<size_t>(choices[i].length));
  }
  if (!free) {
    std::erase_if(orders, [](const DraftOrder& order) { return order.limit == 0; });
    if (!orders.empty()) seconds = drafting.drafter->propose(orders);
  }
  for (const DraftOrder& order : orders) {
    if (!order.guesses.empty()) scheduler.guess(order.sequence, order.guesses);
  }
  return seconds;
}

void ServingEngine::Impl::judge_guesses(const ScheduledSequence& scheduled, Answer& answer) {
  if (scheduled.guesses == 0) return;
  const int64_t right = std::max<int64_t>(std::ssize(answer.generation.tokens()) - 1, 0);
  answer.guessed_right.record(scheduled.guesses, right);
  draft_policy.judge(scheduled.guesses, right);
  stats.drafted_tokens += static_cast<uint64_t>(scheduled.guesses);
  stats.accepted_tokens += static_cast<uint64_t>(right);
}

// Shows the drafter which of the rows remain: all but those of guesses that were wrong.
void ServingEngine::Impl::observe(const ScheduledSequence& scheduled, const Rows& computed) {
  const Generation& generation = computed.answer->generation;
  if (!drafting.drafter || !drafting.drafter->observes() || generation.wants_hidden_states())
    return;
  const int64_t right =
      scheduled.guesses == 0 ? 0 : std::max<int64_t>(std::ssize(generation.tokens()) - 1, 0);
  const auto remain = static_cast<size_t>(std::ssize(scheduled.tokens) - scheduled.guesses + right);
  const size_t width = computed.hidden_states.size() / scheduled.tokens.size();
  drafting.drafter->observe(scheduled.id, scheduled.position, scheduled.tokens.first(remain),
                            computed.hidden_states.first(remain * width));
}

// Runs the plan and lets every answer draw its token, on all threads.
void ServingEngine::Impl::compute(const std::vector<ScheduledSequence>& plan) {
  using Logits = BatchSequence::Logits;
  batch.sequences.clear();
  rows.clear();
  for (const ScheduledSequence& scheduled : plan) {
    Answer& answer = *answers.at(scheduled.id);
    const Generation& generation = answer.generation;
    const bool pools = generation.wants_hidden_states();
    const bool hidden = pools || (drafting.drafter && drafting.drafter->observes());
    const Logits logits = pools                                                     ? Logits::kNone
                          : generation.wants_every_logit() || scheduled.guesses > 0 ? Logits::kAll
                          : scheduled.last                                          ? Logits::kLast
                                                                                    : Logits::kNone;
    batch.sequences.push_back({.tokens = scheduled.tokens,
                               .position = scheduled.position,
                               .pages = scheduled.pages,
                               .logits = logits,
                               .hidden_states = hidden,
                               .adapter = answer.taken.request.adapter.get()});
    rows.push_back({.answer = &answer, .logits = {}, .hidden_states = {}});
  }

  const auto begin_time = Clock::now();
  std::span<const float> logits = engine->model->forward(batch, cache.pool());
  std::span<const float> hidden = engine->model->hidden_states();
  const auto computed_time = Clock::now();

  const auto vocab = static_cast<size_t>(engine->info.vocab_size);
  const auto width = static_cast<size_t>(engine->model->config().hidden_size);
  for (size_t i = 0; i < plan.size(); ++i) {
    const BatchSequence& sequence = batch.sequences[i];
    const size_t wanted = sequence.logits == Logits::kAll    ? sequence.tokens.size()
                          : sequence.logits == Logits::kLast ? 1
                                                             : 0;
    rows[i].logits = logits.first(wanted * vocab);
    logits = logits.subspan(wanted * vocab);
    const size_t kept = sequence.hidden_states ? sequence.tokens.size() * width : 0;
    rows[i].hidden_states = hidden.first(kept);
    hidden = hidden.subspan(kept);
  }
  engine->kernels->threads().parallel_for(std::ssize(plan), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      Generation& generation = rows[i].answer->generation;
      const auto count = std::ssize(plan[i].tokens);
      if (generation.wants_hidden_states()) {
        generation.pool(rows[i].hidden_states, plan[i].position, count, plan[i].last);
      } else {
        generation.draw(rows[i].logits, plan[i].position, count, plan[i].last,
                        plan[i].tokens.last(static_cast<size_t>(plan[i].guesses)));
      }
    }
  });
  stats.model_seconds += seconds_between(begin_time, computed_time);
  stats.sampling_seconds += seconds_since(computed_time);
}

}  // namespace fathom
