// fathom lora extract: a low-rank adapter of the difference between two checkpoints of one shape.
// Of a tuned model and its base it is what the tuning did, as far as a low rank holds it; of a
// model and its quantised self, what wins back part of the rounding error (as LoftQ's and LQER's
// do).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace fathom {

struct ExtractOptions {
  int64_t rank = 16;
  int threads = 0;
  std::function<bool(double fraction)> on_progress = {};  // false ends the work
};

struct ExtractReport {
  int64_t modules = 0;  // linear layers that differ
  double kept = 0;      // of the sum of squares of the difference
  int64_t bytes = 0;    // written
};

// Writes a directory as PEFT does, which must not be there yet. The layers are those that an
// adapter may change; what else differs (norms, embedding, head, routers, split up-projections of
// latent attention) is left out. Fails where the checkpoints are not of one shape, differ
// nowhere, or have had scales moved into their norms, as AWQ does.
Result<ExtractReport> extract_lora(const Checkpoint& tuned, const Checkpoint& base,
                                   const std::filesystem::path& directory,
                                   const ExtractOptions& options);

}  // namespace fathom
