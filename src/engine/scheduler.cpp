#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace fathom {

namespace {

constexpr int64_t kPage = CachePool::kPageTokens;
// Of so many places, one goes to whoever came first, whatever the class.
constexpr uint64_t kFairPlace = 8;

}  // namespace

struct Scheduler::Sequence {
  Sequence(SequenceId id_in, NewSequence request, KvCache& cache)
      : id(id_in),
        priority(request.priority),
        every_row(request.every_row),
        max_rows(request.max_rows),
        realm(request.realm),
        tokens(std::move(request.prompt)),
        computed(cache) {}

  int64_t known() const { return std::ssize(tokens) - guesses; }
  int64_t remaining() const { return known() - computed.length(); }
  bool before(const Sequence& other) const {
    return priority != other.priority ? priority < other.priority : id < other.id;
  }

  SequenceId id;
  Priority priority;
  bool every_row;
  int64_t max_rows;
  int64_t realm = 0;
  std::vector<int32_t> tokens;  // known: prompt and answer so far; then guesses
  int64_t guesses = 0;
  CachedSequence computed;
  PrefixCache::Path path;  // of its first pages, those that are in the prefix cache
  bool path_ends = false;  // its next page is another's in the prefix cache, or nothing is kept
  bool running = false;
  bool started = false;        // some of it was computed before, perhaps to be given up again
  uint64_t planned_in = 0;     // the last step that computes some of it
  uint64_t considered_in = 0;  // the last step in which its prompt had its turn
  int64_t cached_tokens = 0;
  int64_t preemptions = 0;
};

Scheduler::Scheduler(const SchedulerOptions& options, KvCache& cache)
    : options_(options), cache_(cache), prefixes_(cache) {
  FATHOM_ASSERT(options.max_running > 0 && options.max_batch_tokens >= options.max_running);
}

Scheduler::~Scheduler() {
  for (auto& [id, sequence] : sequences_) release(*sequence);
}

SequenceId Scheduler::add(NewSequence request) {
  FATHOM_ASSERT(!request.prompt.empty() && std::ssize(request.prompt) < capacity());
  const SequenceId id = next_id_++;
  auto sequence = std::make_unique<Sequence>(id, std::move(request), cache_);
  waiting_[static_cast<size_t>(sequence->priority)].push_back(sequence.get());
  sequences_.emplace(id, std::move(sequence));
  return id;
}

void Scheduler::append(SequenceId id, std::span<const int32_t> tokens) {
  Sequence& sequence = *sequences_.at(id);
  const int64_t known = sequence.known();
  const int64_t right = std::ssize(tokens) - 1;
  FATHOM_ASSERT(sequence.running && right >= 0 && right <= sequence.guesses);
  FATHOM_ASSERT(sequence.computed.length() == known + sequence.guesses &&
                known + right < capacity());
  forget_guesses(sequence);
  sequence.tokens.insert(sequence.tokens.end(), tokens.begin(), tokens.end());
  sequence.computed.truncate(known + right);
}

void Scheduler::list_decoding(std::vector<Decoding>& list) const {
  list.clear();
  for (const Sequence* sequence : running_) {
    if (sequence->remaining() == 1)
      list.push_back({.id = sequence->id, .tokens = sequence->tokens});
  }
}

void Scheduler::guess(SequenceId id, std::span<const int32_t> tokens) {
  Sequence& sequence = *sequences_.at(id);
  FATHOM_ASSERT(sequence.running && sequence.remaining() == 1 && sequence.guesses == 0);
  sequence.tokens.insert(sequence.tokens.end(), tokens.begin(), tokens.end());
  sequence.guesses = std::ssize(tokens);
}

void Scheduler::forget_guesses(Sequence& sequence) {
  sequence.tokens.resize(static_cast<size_t>(sequence.known()));
  sequence.guesses = 0;
}

void Scheduler::finish(SequenceId id) {
  const auto found = sequences_.find(id);
  FATHOM_ASSERT(found != sequences_.end());
  Sequence& sequence = *found->second;
  if (sequence.running) {
    std::erase(running_, &sequence);
  } else {
    std::erase(waiting_[static_cast<size_t>(sequence.priority)], &sequence);
  }
  release(sequence);
  sequences_.erase(found);
}

int64_t Scheduler::waiting() const {
  int64_t count = 0;
  for (const Queue& queue : waiting_) count += std::ssize(queue);
  return count;
}

int64_t Scheduler::decoding() const {
  return std::count_if(running_.begin(), running_.end(),
                       [](const Sequence* s) { return s->remaining() == 1; });
}

int64_t Scheduler::cached_tokens(SequenceId id) const {
  return sequences_.at(id)->cached_tokens;
}

int64_t Scheduler::preemptions(SequenceId id) const {
  return sequences_.at(id)->preemptions;
}

int64_t Scheduler::pages_used() const {
  return cache_.pages() - cache_.free_pages() - prefixes_.evictable();
}

const std::vector<ScheduledSequence>& Scheduler::plan(const StepLimits& limits) {
  ++step_;
  prefixes_.begin_step();
  plan_.clear();
  planned_prompt_rows_ = 0;
  rows_left_ = options_.max_batch_tokens;
  plan_decoding();
  plan_prompts(plan_.empty() ? rows_left_ : std::min(rows_left_, limits.prompt_rows),
               std::min(options_.max_running, std::max<int64_t>(limits.running, 1)));
  FATHOM_ASSERT(!plan_.empty() || sequences_.empty());
  return plan_;
}

void Scheduler::plan_decoding() {
  guess_rows_left_ = rows_left_ - decoding();
  // Those that make room for others are younger, so they come later in running_ and are not in
  // the plan yet.
  for (size_t i = 0; i < running_.size();) {
    Sequence& sequence = *running_[i];
    if (sequence.remaining() != 1) {
      ++i;
    } else if (make_room(sequence, 1)) {
      const int64_t guesses = guesses_that_fit(sequence);
      sequence.tokens.resize(static_cast<size_t>(sequence.known() + guesses));
      sequence.guesses = guesses;
      const bool room = make_room(sequence, 1 + guesses);
      FATHOM_ASSERT(room);
      schedule(sequence, 1 + guesses);
      guess_rows_left_ -= guesses;
      ++i;
    } else {
      // It is the youngest itself and has been preempted.
      FATHOM_ASSERT(!sequence.running);
    }
  }
}

// Nobody is preempted for a guess.
int64_t Scheduler::guesses_that_fit(const Sequence& sequence) const {
  const int64_t rows = std::min(guess_rows_left_, rows_that_fit(sequence) - 1);
  return std::clamp<int64_t>(rows, 0, sequence.guesses);
}

// In line, each prompt may take half of the rows that are left, so that a short one need not wait
// until a long one before it is done; what nobody takes goes to the last.
void Scheduler::plan_prompts(int64_t budget, int64_t most_running) {
  int64_t left = budget;
  shares_.clear();
  const auto take_turn = [&](Sequence& s) {
    s.considered_in = step_;
    match_prefix(s);
    if (waits_for_older(s)) return;
    copy_prefix(s);
    const int64_t wanted = s.max_rows > 0 ? std::min(s.remaining(), s.max_rows) : s.remaining();
    const int64_t half = left - left / 2;
    if (wanted <= half) {
      left -= give(s, wanted);
    } else {
      shares_.push_back({.sequence = &s, .rows = half, .wanted = wanted});
      left -= half;
    }
  };

  size_t i = 0;
  bool queue_moves = true;
  while (left > 0) {
    while (i < running_.size() &&
           (running_[i]->considered_in == step_ || running_[i]->planned_in == step_)) {
      ++i;
    }
    Sequence* running = i < running_.size() ? running_[i] : nullptr;
    Sequence* waiting = queue_moves ? next_waiting() : nullptr;
    if (waiting != nullptr && (running == nullptr || waiting->before(*running))) {
      queue_moves = admit(*waiting, most_running);
      if (!queue_moves) continue;
      take_turn(*waiting);
      // It took its place in running_ somewhere before or after this one.
      i = 0;
    } else if (running != nullptr) {
      take_turn(*running);
    } else {
      break;
    }
  }
  for (auto share = shares_.rbegin(); share != shares_.rend(); ++share) {
    const int64_t extra = std::min(left, share->wanted - share->rows);
    share->rows += extra;
    left -= extra;
  }
  for (const Share& share : shares_) {
    // An older one may have had to preempt it.
    if (share.sequence->running) give(*share.sequence, share.rows);
  }
}

// Plans up to `wanted` rows of a prompt, as memory allows; returns how many.
int64_t Scheduler::give(Sequence& sequence, int64_t wanted) {
  // Younger sequences give way only if they are not in this plan.
  while (rows_that_fit(sequence) < wanted && preempt_youngest(sequence)) {
  }
  const int64_t rows = std::min(wanted, rows_that_fit(sequence));
  if (rows <= 0 || !make_room(sequence, rows)) return 0;
  schedule(sequence, rows);
  planned_prompt_rows_ += rows;
  return rows;
}

// Whether an older sequence is about to compute the page that this one needs next.
bool Scheduler::waits_for_older(const Sequence& sequence) const {
  const auto at = std::ssize(sequence.path) * kPage;
  if (sequence.every_row || sequence.path_ends || !options_.prefix_cache ||
      sequence.computed.length() != at || sequence.remaining() <= kPage) {
    return false;
  }
  for (const Sequence* older : running_) {
    if (older == &sequence) return false;
    const bool same_place = !older->path_ends && older->path.size() == sequence.path.size() &&
                            (at == 0 || older->path.back() == sequence.path.back());
    if (same_place && older->known() >= at + kPage &&
        std::equal(older->tokens.begin() + at, older->tokens.begin() + at + kPage,
                   sequence.tokens.begin() + at)) {
      return true;
    }
  }
  return false;
}

Scheduler::Sequence* Scheduler::next_waiting() {
  Sequence* chosen = nullptr;
  const bool fair = admissions_ % kFairPlace == kFairPlace - 1;
  for (const Queue& queue : waiting_) {
    if (queue.empty()) continue;
    Sequence* head = queue.front();
    if (chosen == nullptr || (fair && head->id < chosen->id)) chosen = head;
  }
  return chosen;
}

// Takes a sequence from the queue if there is a place, and memory for all that is known of it
// beside what the running ones still need for theirs.
bool Scheduler::admit(Sequence& sequence, int64_t most_running) {
  if (running() >= most_running) return false;
  match_prefix(sequence);
  const auto missing = [](const Sequence& s) {
    // With guesses it has more than it needs.
    return std::max<int64_t>(0, pages_for(s.known() + 1) - std::ssize(s.computed.pages()));
  };
  int64_t needed = missing(sequence);
  if (!running_.empty()) {
    // Some air, or the next pages of the others would soon preempt what was just admitted.
    needed += (running() + 1) / 2;
    for (const Sequence* other : running_) needed += missing(*other);
  }
  if (needed > cache_.free_pages() + prefixes_.evictable()) {
    // What it matched may be needed by those that run.
    release(sequence);
    if (!sequence.started) sequence.cached_tokens = 0;
    return false;
  }
  Queue& queue = waiting_[static_cast<size_t>(sequence.priority)];
  queue.erase(std::find(queue.begin(), queue.end(), &sequence));
  sequence.running = true;
  ++admissions_;
  running_.insert(std::upper_bound(running_.begin(), running_.end(), &sequence,
                                   [](const auto* a, const auto* b) { return a->before(*b); }),
                  &sequence);
  return true;
}

// Takes the next pages from the prefix cache as far as it has them. The last known token is always
// computed, for its logits. Pages count as there from the step that computes them: a layer stores
// the keys and values of all rows before it attends to any.
void Scheduler::match_prefix(Sequence& sequence) {
  if (sequence.every_row || sequence.path_ends || !options_.prefix_cache) return;
  while (sequence.computed.length() == std::ssize(sequence.path) * kPage &&
         sequence.remaining() > kPage) {
    const auto at = static_cast<size_t>(sequence.computed.length());
    const PrefixCache::PageTokens tokens(sequence.tokens.data() + at, static_cast<size_t>(kPage));
    const PrefixCache::Node* node = prefixes_.enter(sequence.path, tokens, sequence.realm);
    if (node == nullptr) return;
    sequence.computed.adopt(PrefixCache::page(*node), tokens);
    if (sequence.preemptions == 0) sequence.cached_tokens += kPage;
  }
}

// Of the next page, which nobody has as a whole, copies as many rows as another begins alike with:
// the beginning that a chat template puts before every text, up to where the texts differ.
void Scheduler::copy_prefix(Sequence& sequence) {
  const int64_t at = std::ssize(sequence.path) * kPage;
  if (sequence.every_row || sequence.path_ends || !options_.prefix_cache ||
      sequence.computed.length() != at || sequence.remaining() < 2) {
    return;
  }
  // First, as it may evict the page to copy from.
  if (cache_.free_pages() == 0 && !prefixes_.evict()) return;
  const auto next = std::span<const int32_t>(sequence.tokens)
                        .subspan(static_cast<size_t>(at),
                                 static_cast<size_t>(std::min(sequence.remaining() - 1, kPage)));
  const auto [page, count] = prefixes_.most_alike(sequence.path, next, sequence.realm);
  if (count == 0) return;
  const bool room = sequence.computed.append(next.first(static_cast<size_t>(count)));
  FATHOM_ASSERT(room);
  cache_.pool().copy_page(page, sequence.computed.pages().back());
  if (sequence.preemptions == 0) sequence.cached_tokens += count;
}

// Puts the pages that are full now into the prefix cache, but for those with guesses.
void Scheduler::keep_prefix(Sequence& sequence) {
  if (sequence.path_ends || !options_.prefix_cache) return;
  const int64_t certain = std::min(sequence.computed.length(), sequence.known());
  while ((std::ssize(sequence.path) + 1) * kPage <= certain) {
    const size_t page = sequence.path.size();
    const PrefixCache::PageTokens tokens(sequence.tokens.data() + page * static_cast<size_t>(kPage),
                                         static_cast<size_t>(kPage));
    if (!prefixes_.add(sequence.path, tokens, sequence.computed.pages()[page], sequence.realm)) {
      sequence.path_ends = true;
      return;
    }
  }
}

int64_t Scheduler::rows_that_fit(const Sequence& sequence) const {
  const int64_t pages =
      std::ssize(sequence.computed.pages()) + cache_.free_pages() + prefixes_.evictable();
  return pages * kPage - sequence.computed.length();
}

// Makes the pages free that the next `rows` rows need, if need be by preempting younger sequences,
// or this one where it is the youngest itself: then false.
bool Scheduler::make_room(Sequence& sequence, int64_t rows) {
  const int64_t needed =
      pages_for(sequence.computed.length() + rows) - std::ssize(sequence.computed.pages());
  while (cache_.free_pages() < needed) {
    if (prefixes_.evict() || preempt_youngest(sequence)) continue;
    FATHOM_ASSERT(running_.back() == &sequence);
    preempt(sequence);
    return false;
  }
  return true;
}

bool Scheduler::preempt_youngest(const Sequence& claimant) {
  Sequence& youngest = *running_.back();
  if (!claimant.before(youngest) || youngest.planned_in == step_) return false;
  preempt(youngest);
  return true;
}

void Scheduler::preempt(Sequence& sequence) {
  std::erase(running_, &sequence);
  release(sequence);
  forget_guesses(sequence);
  sequence.running = false;
  ++sequence.preemptions;
  ++preemptions_;
  // Before all that came later.
  Queue& queue = waiting_[static_cast<size_t>(sequence.priority)];
  queue.insert(std::upper_bound(queue.begin(), queue.end(), &sequence,
                                [](const auto* a, const auto* b) { return a->id < b->id; }),
               &sequence);
}

void Scheduler::schedule(Sequence& sequence, int64_t rows) {
  const int64_t position = sequence.computed.length();
  const auto tokens = std::span<const int32_t>(sequence.tokens)
                          .subspan(static_cast<size_t>(position), static_cast<size_t>(rows));
  const bool room = sequence.computed.append(tokens);
  FATHOM_ASSERT(room);
  keep_prefix(sequence);
  sequence.planned_in = step_;
  rows_left_ -= rows;
  plan_.push_back({.id = sequence.id,
                   .tokens = tokens,
                   .position = position,
                   .pages = sequence.computed.pages(),
                   .last = sequence.remaining() == -sequence.guesses,
                   .guesses = sequence.guesses,
                   .first = !sequence.started});
  sequence.started = true;
}

void Scheduler::release(Sequence& sequence) {
  prefixes_.leave(sequence.path);
  sequence.path_ends = false;
  sequence.computed.truncate(0);
}

}  // namespace fathom
