#include "engine/speculation/batch_draft_model.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

#include "engine/speculation/draft_model.h"

namespace fathom {
namespace {

using Clock = std::chrono::steady_clock;

// Tokens that are computed together with a guess: after a step in which all guesses were right two
// are new.
constexpr int64_t kMostBehind = 8;
// Rows of a step that read in the others, all together.
constexpr int64_t kReadRows = 128;

}  // namespace

Result<std::unique_ptr<BatchDrafter>> BatchDraftModel::make(const Engine& target,
                                                            std::shared_ptr<Engine> draft,
                                                            int64_t pages) {
  const int64_t vocab_size = std::min(target.info.vocab_size, draft->info.vocab_size);
  FATHOM_TRY(KvCache cache,
             KvCache::make(draft->model->cache_layout(), pages * CachePool::kPageTokens));
  return std::unique_ptr<BatchDrafter>(
      new BatchDraftModel(std::move(draft), std::move(cache), vocab_size));
}

BatchDraftModel::BatchDraftModel(std::shared_ptr<Engine> engine, KvCache cache, int64_t vocab_size)
    : engine_(std::move(engine)), cache_(std::move(cache)), vocab_size_(vocab_size) {}

double BatchDraftModel::propose(std::span<DraftOrder> orders) {
  const std::lock_guard lock(engine_->compute);
  ++call_;
  sort_out(orders);
  read_in();
  const auto begin = Clock::now();
  guess();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Cuts every sequence back to what it still is, and tells those that can be guessed for from those
// of which too much is not computed.
void BatchDraftModel::sort_out(std::span<DraftOrder> orders) {
  behind_.clear();
  ready_.clear();
  int64_t rows = 0;
  for (DraftOrder& order : orders) {
    const auto length = std::ssize(order.tokens);
    order.limit = std::min(order.limit, engine_->info.context - length);
    if (order.limit <= 0) continue;
    auto& seen = seen_[order.sequence];
    if (seen == nullptr) seen = std::make_unique<Seen>(cache_);
    seen->used_in = call_;
    // The last token is computed even if the cache has it, for its logits.
    CachedSequence& computed = seen->computed;
    computed.truncate(std::min(computed.common_prefix(order.tokens), length - 1));
    const int64_t missing = length - computed.length();
    const bool ready =
        missing <= kMostBehind && rows + missing <= engine_->model->max_batch_tokens();
    if (ready) rows += missing;
    (ready ? ready_ : behind_).push_back({.order = &order, .seen = seen.get()});
  }
}

// Makes room for tokens that are about to be computed. False where the pool is full of sequences
// that are guessed for now.
bool BatchDraftModel::extend(Seen& seen, std::span<const int32_t> tokens) {
  while (!seen.computed.append(tokens)) {
    const auto oldest = std::ranges::min_element(
        seen_, {}, [](const auto& entry) { return entry.second->used_in; });
    if (oldest->second->used_in == call_) return false;
    seen_.erase(oldest);
  }
  return true;
}

void BatchDraftModel::read_in() {
  int64_t rows = std::min(kReadRows, engine_->model->max_batch_tokens());
  batch_.sequences.clear();
  for (const Work& work : behind_) {
    const int64_t position = work.seen->computed.length();
    const int64_t missing = std::ssize(work.order->tokens) - 1 - position;
    const auto part = work.order->tokens.subspan(static_cast<size_t>(position),
                                                 static_cast<size_t>(std::min(missing, rows)));
    if (part.empty() || !extend(*work.seen, part)) continue;
    rows -= std::ssize(part);
    batch_.sequences.push_back({.tokens = part,
                                .position = position,
                                .pages = work.seen->computed.pages(),
                                .logits = BatchSequence::Logits::kNone});
    if (rows == 0) break;
  }
  if (!batch_.sequences.empty()) engine_->model->forward(batch_, cache_.pool());
}

void BatchDraftModel::guess() {
  for (bool first = true; !ready_.empty(); first = false) {
    batched_.clear();
    batch_.sequences.clear();
    for (const Work& work : ready_) {
      DraftOrder& order = *work.order;
      const int64_t position = work.seen->computed.length();
      const std::span<const int32_t> tokens =
          first ? order.tokens.subspan(static_cast<size_t>(position))
                : std::span<const int32_t>(order.guesses).last(1);
      if (!extend(*work.seen, tokens)) continue;
      batched_.push_back(work);
      batch_.sequences.push_back({.tokens = tokens,
                                  .position = position,
                                  .pages = work.seen->computed.pages(),
                                  .logits = BatchSequence::Logits::kLast});
    }
    if (batched_.empty()) return;
    const std::span<const float> logits = engine_->model->forward(batch_, cache_.pool());
    most_likely_tokens(*engine_, logits, vocab_size_, next_);
    ready_.clear();
    for (size_t i = 0; i < batched_.size(); ++i) {
      DraftOrder& order = *batched_[i].order;
      if (next_[i] < 0) continue;  // no number among the logits
      order.guesses.push_back(next_[i]);
      if (std::ssize(order.guesses) < order.limit) ready_.push_back(batched_[i]);
    }
  }
}

}  // namespace fathom
