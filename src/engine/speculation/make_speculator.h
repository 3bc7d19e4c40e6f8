// From what an application asks for (fathom::Speculation) to a Speculator of one sequence, or to a
// BatchDrafter of many.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "engine/speculation/batch_drafter.h"
#include "engine/speculation/speculator.h"

namespace fathom {

// Null for Speculation::Method::kOff. context: the longest sequence. The engine must outlive it.
// Fails (kUsage) where the model cannot be speculated with in this way, or a number makes no sense.
Result<std::unique_ptr<Speculator>> make_speculator(Engine& engine, const Speculation& options,
                                                    int64_t context);

struct DraftSetup {
  std::unique_ptr<BatchDrafter> drafter;  // null: nothing is guessed
  int64_t most_tokens = 0;                // guesses for a sequence in a step
};

// pages: as many as the cache of the engine's own sequences has. Fails (kUsage) where the model
// cannot be speculated with in this way by a server, or a number makes no sense.
Result<DraftSetup> make_batch_drafter(const Engine& engine, const Speculation& options,
                                      int64_t pages);
// What that drafter keeps for a page of tokens, in bytes; 0: nothing. Fails as it.
Result<int64_t> draft_page_bytes(const Engine& engine, const Speculation& options);

}  // namespace fathom
