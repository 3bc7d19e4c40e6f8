#include "engine/speculation/make_speculator.h"

#include <utility>

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
  if (options.draft_tokens < 0 || options.draft_tokens > DraftPolicy::kMostTokens) {
    return usage_error("draft-tokens is {}; it must be 1 to {}, or 0 for the method's own",
                       options.draft_tokens, DraftPolicy::kMostTokens);
  }
  FATHOM_TRY(std::unique_ptr<Drafter> drafter, make_drafter(engine, options, context));
  if (drafter == nullptr) return std::unique_ptr<Speculator>();
  const int64_t most =
      options.draft_tokens > 0 ? options.draft_tokens : default_tokens(options.method);
  return std::make_unique<Speculator>(std::move(drafter), most);
}

}  // namespace fathom
