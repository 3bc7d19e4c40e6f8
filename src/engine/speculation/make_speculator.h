// From what an application asks for (fathom::Speculation) to a Speculator of one sequence.
#pragma once

#include <memory>

#include "engine/engine.h"
#include "engine/speculation/speculator.h"

namespace fathom {

// Null for Speculation::Method::kOff. context: the longest sequence. The engine must outlive it.
// Fails (kUsage) where the model cannot be speculated with in this way, or a number makes no sense.
Result<std::unique_ptr<Speculator>> make_speculator(Engine& engine, const Speculation& options,
                                                    int64_t context);

}  // namespace fathom
