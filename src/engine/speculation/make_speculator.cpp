#include "engine/speculation/make_speculator.h"

#include <chrono>
#include <utility>

#include "engine/kv_cache.h"
#include "engine/speculation/batch_draft_model.h"
#include "engine/speculation/batch_mtp.h"
#include "engine/speculation/draft_model.h"
#include "engine/speculation/mtp_drafter.h"
#include "engine/speculation/prompt_lookup.h"

namespace fathom {
namespace {

// The policy shortens what does not pay; these are where trying more is of no use.
int64_t default_tokens(Speculation::Method method) {
  switch (method) {
    case Speculation::Method::kOff:
      return 0;
    case Speculation::Method::kLookup:
      return 10;
    case Speculation::Method::kMtp:
      return 2;
    case Speculation::Method::kDraftModel:
      return 5;
  }
  return 0;
}

Status check_draft_tokens(const Speculation& options) {
  if (options.draft_tokens >= 0 && options.draft_tokens <= DraftPolicy::kMostTokens) return {};
  return usage_error("draft-tokens is {}; it must be 1 to {}, or 0 for the method's own",
                     options.draft_tokens, DraftPolicy::kMostTokens);
}

Result<const Engine*> draft_engine(const Engine& engine, const Speculation& options) {
  if (!options.draft) {
    return usage_error("Speculation with a draft model needs one: set Speculation::draft.");
  }
  const Engine* draft = options.draft->impl()->engine.get();
  FATHOM_CHECK(check_draft_model(engine, *draft));
  return draft;
}

Result<std::unique_ptr<Drafter>> make_drafter(Engine& engine, const Speculation& options,
                                              int64_t context) {
  switch (options.method) {
    case Speculation::Method::kOff:
      break;
    case Speculation::Method::kLookup:
      return std::make_unique<PromptLookup>();
    case Speculation::Method::kMtp:
      return MtpDrafter::make(engine, context);
    case Speculation::Method::kDraftModel:
      if (!options.draft) {
        return usage_error("Speculation with a draft model needs one: set Speculation::draft.");
      }
      return DraftModel::make(engine, options.draft->impl()->engine, context);
  }
  return std::unique_ptr<Drafter>();
}

}  // namespace

Result<std::unique_ptr<Speculator>> make_speculator(Engine& engine, const Speculation& options,
                                                    int64_t context) {
  FATHOM_CHECK(check_draft_tokens(options));
  FATHOM_TRY(std::unique_ptr<Drafter> drafter, make_drafter(engine, options, context));
  if (drafter == nullptr) return std::unique_ptr<Speculator>();
  const int64_t most =
      options.draft_tokens > 0 ? options.draft_tokens : default_tokens(options.method);
  return std::make_unique<Speculator>(std::move(drafter), most);
}

namespace {

// PromptLookup keeps nothing of a sequence.
class BatchPromptLookup final : public BatchDrafter {
 public:
  double propose(std::span<DraftOrder> orders) override {
    const auto begin = std::chrono::steady_clock::now();
    for (DraftOrder& order : orders) {
      draft_.clear();
      // Cannot fail.
      if (lookup_.propose(order.tokens, order.limit, draft_)) order.guesses = draft_.tokens;
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  bool is_free() const override { return true; }

 private:
  PromptLookup lookup_;
  Draft draft_;
};

}  // namespace

Result<int64_t> draft_page_bytes(const Engine& engine, const Speculation& options) {
  if (options.method == Speculation::Method::kMtp && engine.model->has_mtp()) {
    return engine.model->mtp_cache_layout().bytes_per_token() * CachePool::kPageTokens;
  }
  if (options.method != Speculation::Method::kDraftModel) return 0;
  FATHOM_TRY(const Engine* draft, draft_engine(engine, options));
  return draft->model->cache_layout().bytes_per_token() * CachePool::kPageTokens;
}

Result<DraftSetup> make_batch_drafter(const Engine& engine, const Speculation& options,
                                      int64_t pages) {
  FATHOM_CHECK(check_draft_tokens(options));
  DraftSetup setup;
  setup.most_tokens =
      options.draft_tokens > 0 ? options.draft_tokens : default_tokens(options.method);
  switch (options.method) {
    case Speculation::Method::kOff:
      break;
    case Speculation::Method::kLookup:
      setup.drafter = std::make_unique<BatchPromptLookup>();
      break;
    case Speculation::Method::kMtp: {
      FATHOM_TRY(setup.drafter, BatchMtp::make(engine, pages));
      break;
    }
    case Speculation::Method::kDraftModel: {
      FATHOM_CHECK(draft_engine(engine, options));
      FATHOM_TRY(setup.drafter,
                 BatchDraftModel::make(engine, options.draft->impl()->engine, pages));
      break;
    }
  }
  return setup;
}

}  // namespace fathom
