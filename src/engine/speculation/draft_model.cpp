#include "engine/speculation/draft_model.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace fathom {
namespace {

Status check_same_vocabulary(const Engine& target, const Engine& draft) {
  const std::string path = draft.checkpoint->path().string();
  const std::string target_path = target.checkpoint->path().string();
  if ((target.tokenizer == nullptr) != (draft.tokenizer == nullptr)) {
    return usage_error(
        "{} has {} and {} does not, so it cannot be seen whether their vocabularies agree. Choose "
        "a draft model with the vocabulary of the model that answers.",
        target.tokenizer != nullptr ? target_path : path, "a tokenizer",
        target.tokenizer != nullptr ? path : target_path);
  }
  if (target.tokenizer == nullptr) {
    if (target.info.vocab_size == draft.info.vocab_size) return {};
    return usage_error(
        "{} has {} tokens and {} has {}: a draft model must have the vocabulary of the model that "
        "answers.",
        path, draft.info.vocab_size, target_path, target.info.vocab_size);
  }
  // Models of one vocabulary are padded to different sizes.
  const int64_t common = std::min(target.tokenizer->vocab_size(), draft.tokenizer->vocab_size());
  for (int32_t token = 0; token < common; ++token) {
    const std::string ours = target.tokenizer->piece(token);
    const std::string theirs = draft.tokenizer->piece(token);
    if (ours == theirs) continue;
    return usage_error(
        "{} has another vocabulary than {}: token {} is \"{}\" in the one and \"{}\" in the other. "
        "A draft model must have the vocabulary of the model that answers.",
        path, target_path, token, theirs, ours);
  }
  return {};
}

}  // namespace

Status check_draft_model(const Engine& target, const Engine& draft) {
  if (&draft == &target) {
    return usage_error("A model cannot draft for itself: choose a smaller one.");
  }
  return check_same_vocabulary(target, draft);
}

SamplingOptions draft_sampling(const SamplingOptions& answer) {
  SamplingOptions options = answer;
  options.repeat_penalty = 1.0F;
  options.presence_penalty = 0.0F;
  options.frequency_penalty = 0.0F;
  // Must be independent of the numbers that decide about acceptance.
  if (options.seed) *options.seed ^= 0x9e3779b97f4a7c15U;
  return options;
}

Result<std::unique_ptr<Drafter>> DraftModel::make(const Engine& target,
                                                  std::shared_ptr<Engine> draft, int64_t context) {
  FATHOM_CHECK(check_draft_model(target, *draft));
  context = std::min(context, draft->info.context);
  const int64_t vocab_size = std::min(target.info.vocab_size, draft->info.vocab_size);
  FATHOM_TRY(KvCache cache, KvCache::make(draft->model->cache_layout(), context));
  return std::unique_ptr<Drafter>(
      new DraftModel(std::move(draft), std::move(cache), context, vocab_size));
}

DraftModel::DraftModel(std::shared_ptr<Engine> engine, KvCache cache, int64_t context,
                       int64_t vocab_size)
    : engine_(std::move(engine)),
      cache_(std::move(cache)),
      sequence_(cache_),
      context_(context),
      vocab_size_(vocab_size) {}

void DraftModel::begin(const SamplingOptions& options) {
  sampler_.emplace(draft_sampling(options), std::span<const int32_t>());
  by_chance_ = options.temperature > 0.0F;
}

Status DraftModel::propose(std::span<const int32_t> tokens, int64_t limit, Draft& draft) {
  limit = std::min(limit, context_ - static_cast<int64_t>(tokens.size()));
  if (limit <= 0) return {};
  const std::lock_guard lock(engine_->compute);
  // The last token is computed even if the cache has it, for its logits.
  const auto before_last = static_cast<int64_t>(tokens.size()) - 1;
  sequence_.truncate(std::min(sequence_.common_prefix(tokens), before_last));
  FATHOM_TRY(std::span<const float> logits,
             compute(tokens.subspan(static_cast<size_t>(sequence_.length()))));
  while (true) {
    logits = logits.first(static_cast<size_t>(vocab_size_));
    if (by_chance_) {
      const auto distribution = sampler_->distribution(logits);
      draft.distributions.emplace_back(distribution.begin(), distribution.end());
    }
    draft.tokens.push_back(sampler_->sample(logits));
    if (draft.size() == limit) return {};
    FATHOM_TRY(logits, compute({&draft.tokens.back(), 1}));
  }
}

Result<std::span<const float>> DraftModel::compute(std::span<const int32_t> tokens) {
  const auto chunk = static_cast<size_t>(engine_->model->max_batch_tokens());
  while (true) {
    const auto part = tokens.first(std::min(chunk, tokens.size()));
    tokens = tokens.subspan(part.size());
    const int64_t position = sequence_.length();
    if (!sequence_.append(part)) return fail("The draft model's context is full.");
    batch_.sequences.assign(1, {.tokens = part,
                                .position = position,
                                .pages = sequence_.pages(),
                                .logits = tokens.empty() ? BatchSequence::Logits::kLast
                                                         : BatchSequence::Logits::kNone});
    const auto logits = engine_->model->forward(batch_, cache_.pool());
    if (tokens.empty()) return logits;
  }
}

}  // namespace fathom
