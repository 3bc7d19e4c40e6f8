#include "engine/speculation/batch_mtp.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace fathom {
namespace {

using Clock = std::chrono::steady_clock;

// Rows that wait are computed when there are so many: while nothing is guessed that is seldom, and
// still the layer has seen everything when guessing is tried again.
constexpr int64_t kMostWaiting = 64;

}  // namespace

Result<std::unique_ptr<BatchDrafter>> BatchMtp::make(const Engine& engine, int64_t pages) {
  if (!engine.model->has_mtp()) {
    return usage_error(
        "{} was loaded without a multi-token prediction layer. Load it with LoadOptions::mtp, if "
        "the checkpoint has one.",
        engine.checkpoint->path().string());
  }
  FATHOM_TRY(KvCache cache,
             KvCache::make(engine.model->mtp_cache_layout(), pages * CachePool::kPageTokens));
  return std::unique_ptr<BatchDrafter>(new BatchMtp(engine, std::move(cache)));
}

BatchMtp::BatchMtp(const Engine& engine, KvCache cache)
    : engine_(engine), width_(engine.model->config().hidden_size), cache_(std::move(cache)) {}

// The sequence was cut back to `position`, or goes on where nothing is known of what came before.
void BatchMtp::forget_from(Seen& seen, int64_t position) const {
  const int64_t computed = seen.base + seen.computed.length();
  if (position < seen.base || position > next_position(seen)) {
    seen.computed.truncate(0);
    seen.base = position;
    seen.hidden.clear();
  } else if (position <= computed) {
    // The row before may have been computed with another next token: it still says more than none.
    seen.computed.truncate(position - seen.base);
    seen.hidden.clear();
  } else {
    seen.hidden.resize(static_cast<size_t>((position - computed) * width_));
  }
  seen.next.resize(static_cast<size_t>(std::max<int64_t>(0, waiting(seen) - 1)));
}

void BatchMtp::observe(uint64_t sequence, int64_t position, std::span<const int32_t> tokens,
                       std::span<const float> hidden) {
  auto& seen = seen_[sequence];
  if (seen == nullptr) seen = std::make_unique<Seen>(cache_);
  forget_from(*seen, position);
  if (waiting(*seen) == 0) tokens = tokens.subspan(1);
  seen->next.insert(seen->next.end(), tokens.begin(), tokens.end());
  seen->hidden.insert(seen->hidden.end(), hidden.begin(), hidden.end());
}

void BatchMtp::settle() {
  behind_.clear();
  for (const auto& [sequence, seen] : seen_) {
    if (waiting(*seen) > kMostWaiting) behind_.push_back(seen.get());
  }
  compute_waiting(behind_);
}

// Puts rows of a sequence into the batch. False where the pool is full.
bool BatchMtp::add(Seen& seen, std::span<const int32_t> next, std::span<const float> hidden,
                   bool logits) {
  const int64_t position = seen.computed.length();
  if (!seen.computed.append(next)) return false;
  batch_.sequences.push_back(
      {.tokens = next,
       .position = position,
       .pages = seen.computed.pages(),
       .logits = logits ? BatchSequence::Logits::kLast : BatchSequence::Logits::kNone,
       .hidden_states = logits});
  previous_.insert(previous_.end(), hidden.begin(), hidden.end());
  return true;
}

// Computes the rows that wait whose next tokens are known: all but the last of each sequence.
void BatchMtp::compute_waiting(std::span<Seen* const> all) {
  std::vector<int64_t> done(all.size(), 0);
  std::vector<int64_t> ends;
  ends.reserve(all.size());
  for (const Seen* seen : all) ends.push_back(next_position(*seen));
  while (true) {
    batch_.sequences.clear();
    previous_.clear();
    int64_t room = engine_.model->max_batch_tokens();
    for (size_t i = 0; i < all.size() && room > 0; ++i) {
      Seen& seen = *all[i];
      const int64_t rows = std::min(room, std::ssize(seen.next) - done[i]);
      if (rows <= 0) continue;
      const auto next = std::span<const int32_t>(seen.next).subspan(static_cast<size_t>(done[i]),
                                                                    static_cast<size_t>(rows));
      const auto hidden =
          std::span<const float>(seen.hidden)
              .subspan(static_cast<size_t>(done[i] * width_), static_cast<size_t>(rows * width_));
      if (add(seen, next, hidden, false)) {
        done[i] += rows;
        room -= rows;
      } else {
        // Begins anew with what waits last.
        seen.base = ends[i] - 1;
        seen.computed.truncate(0);
        done[i] = std::ssize(seen.next);
      }
    }
    if (batch_.sequences.empty()) break;
    engine_.model->forward_mtp(batch_, previous_, cache_.pool());
  }
  for (size_t i = 0; i < all.size(); ++i) {
    Seen& seen = *all[i];
    seen.hidden.erase(seen.hidden.begin(), seen.hidden.begin() + done[i] * width_);
    seen.next.clear();
  }
}

double BatchMtp::propose(std::span<DraftOrder> orders) {
  const auto begin = Clock::now();
  works_.clear();
  behind_.clear();
  for (DraftOrder& order : orders) {
    const auto found = seen_.find(order.sequence);
    if (found == seen_.end()) continue;
    Seen& seen = *found->second;
    // The last token has no hidden state yet, the one before must.
    if (waiting(seen) == 0 || next_position(seen) + 1 != std::ssize(order.tokens)) continue;
    works_.push_back({.order = &order, .seen = &seen, .certain = 0});
    behind_.push_back(&seen);
  }
  compute_waiting(behind_);
  guess();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void BatchMtp::guess() {
  for (Work& work : works_) work.certain = work.seen->computed.length() + 1;
  std::vector<Work> open = works_;
  for (bool first = true; !open.empty(); first = false) {
    batch_.sequences.clear();
    batched_.clear();
    std::vector<float> before = std::exchange(previous_, {});
    size_t at = 0;
    for (const Work& work : open) {
      const std::span<const int32_t> token =
          first ? work.order->tokens.last(1)
                : std::span<const int32_t>(work.order->guesses).last(1);
      const std::span<const float> hidden =
          first ? std::span<const float>(work.seen->hidden)
                : std::span<const float>(before).subspan(at, static_cast<size_t>(width_));
      at += static_cast<size_t>(width_);
      if (add(*work.seen, token, hidden, true)) batched_.push_back(work);
    }
    if (batched_.empty()) break;
    const auto logits = engine_.model->forward_mtp(batch_, previous_, cache_.pool());
    most_likely_tokens(engine_, logits, engine_.info.vocab_size, next_);
    const auto hidden = engine_.model->hidden_states();
    open.clear();
    previous_.clear();
    for (size_t i = 0; i < batched_.size(); ++i) {
      DraftOrder& order = *batched_[i].order;
      if (next_[i] < 0) continue;  // no number among the logits
      order.guesses.push_back(next_[i]);
      if (std::ssize(order.guesses) == order.limit) continue;
      open.push_back(batched_[i]);
      const auto row = hidden.subspan(i * static_cast<size_t>(width_), static_cast<size_t>(width_));
      previous_.insert(previous_.end(), row.begin(), row.end());
    }
  }
  for (const Work& work : works_) {
    Seen& seen = *work.seen;
    if (seen.computed.length() < work.certain) continue;  // there was no room
    seen.computed.truncate(work.certain);
    seen.hidden.clear();
  }
}

}  // namespace fathom
