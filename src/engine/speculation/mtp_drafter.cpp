#include "engine/speculation/mtp_drafter.h"

#include <algorithm>
#include <utility>

#include "engine/speculation/draft_model.h"
#include "engine/speculation/draft_policy.h"

namespace fathom {
namespace {

// Rows that wait are computed together when there are so many: while drafting is off that is
// seldom, and still the layer has seen everything when drafting is tried again.
constexpr int64_t kMostWaiting = 64;

}  // namespace

Result<std::unique_ptr<Drafter>> MtpDrafter::make(Engine& engine, int64_t context) {
  if (!engine.model->has_mtp()) {
    return usage_error(
        "{} was loaded without a multi-token prediction layer. Load it with LoadOptions::mtp, if "
        "the checkpoint has one.",
        engine.checkpoint->path().string());
  }
  FATHOM_TRY(KvCache cache,
             KvCache::make(engine.model->mtp_cache_layout(), context + DraftPolicy::kMostTokens));
  return std::unique_ptr<Drafter>(new MtpDrafter(*engine.model, std::move(cache)));
}

MtpDrafter::MtpDrafter(LanguageModel& model, KvCache cache)
    : model_(model),
      width_(model.config().hidden_size),
      cache_(std::move(cache)),
      sequence_(cache_) {}

void MtpDrafter::begin(const SamplingOptions& options) {
  sampler_.emplace(draft_sampling(options), std::span<const int32_t>());
  by_chance_ = options.temperature > 0.0F;
}

// The sequence was cut back to `position`, or goes on where nothing is known of what came before.
void MtpDrafter::forget_from(int64_t position) {
  const int64_t computed = base_ + sequence_.length();
  if (position < base_ || position > next_position()) {
    sequence_.truncate(0);
    base_ = position;
    hidden_.clear();
  } else if (position <= computed) {
    // The row before may have been computed with another next token: it still says more than none.
    sequence_.truncate(position - base_);
    hidden_.clear();
  } else {
    hidden_.resize(static_cast<size_t>((position - computed) * width_));
  }
  next_.resize(static_cast<size_t>(std::max<int64_t>(0, waiting() - 1)));
}

Status MtpDrafter::observe(int64_t position, std::span<const int32_t> tokens,
                           std::span<const float> hidden) {
  forget_from(position);
  if (waiting() == 0) tokens = tokens.subspan(1);
  next_.insert(next_.end(), tokens.begin(), tokens.end());
  hidden_.insert(hidden_.end(), hidden.begin(), hidden.end());
  return waiting() > kMostWaiting ? catch_up(1) : Status();
}

// Computes rows with these next tokens. Logits are those after the last.
Result<std::span<const float>> MtpDrafter::forward(std::span<const int32_t> next,
                                                   std::span<const float> hidden, bool logits) {
  const int64_t position = sequence_.length();
  if (!sequence_.append(next)) return fail("The cache for multi-token prediction is full.");
  batch_.sequences.assign(
      1, {.tokens = next,
          .position = position,
          .pages = sequence_.pages(),
          .logits = logits ? BatchSequence::Logits::kLast : BatchSequence::Logits::kNone,
          .hidden_states = logits});
  return model_.forward_mtp(batch_, hidden, cache_.pool());
}

// Computes the rows that wait, all but `left`, whose next tokens are known.
Status MtpDrafter::catch_up(int64_t left) {
  const int64_t chunk = model_.max_batch_tokens();
  const int64_t end = waiting() - left;
  for (int64_t begin = 0; begin < end;) {
    const int64_t rows = std::min(chunk, end - begin);
    FATHOM_CHECK(
        forward(std::span(next_).subspan(static_cast<size_t>(begin), static_cast<size_t>(rows)),
                std::span(hidden_).subspan(static_cast<size_t>(begin * width_),
                                           static_cast<size_t>(rows * width_)),
                false));
    begin += rows;
  }
  hidden_.erase(hidden_.begin(), hidden_.begin() + end * width_);
  next_.erase(next_.begin(), next_.begin() + end);
  return {};
}

Status MtpDrafter::propose(std::span<const int32_t> tokens, int64_t limit, Draft& draft) {
  // The last token has no hidden state yet, the one before must.
  if (waiting() == 0 || next_position() + 1 != static_cast<int64_t>(tokens.size())) return {};
  FATHOM_CHECK(catch_up(1));
  previous_ = std::exchange(hidden_, {});
  int32_t token = tokens.back();
  const int64_t certain = sequence_.length() + 1;
  while (draft.size() < limit) {
    FATHOM_TRY(const auto logits, forward({&token, 1}, previous_, true));
    if (by_chance_) {
      const auto distribution = sampler_->distribution(logits);
      draft.distributions.emplace_back(distribution.begin(), distribution.end());
    }
    token = sampler_->sample(logits);
    draft.tokens.push_back(token);
    const auto states = model_.hidden_states();
    previous_.assign(states.begin(), states.end());
  }
  sequence_.truncate(certain);
  return {};
}

}  // namespace fathom
