// fathom lora merge: a low-rank adapter folded into the weights it was trained for, W + scale * B
// A, so that the result runs as any checkpoint does. Streams: some rows are in memory at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/lora_adapter.h"
#include "compress/tensor_plan.h"
#include "tensor/dtype.h"

namespace fathom {

struct MergeOptions {
  // F32, F16 or BF16 for all matrices; nothing: each keeps its type, which must be one of these for
  // those that the adapter changes.
  std::optional<DType> type = {};
  int threads = 0;
  std::function<bool(double fraction)> on_progress = {};  // false ends the work
};

struct MergeReport {
  int64_t bytes = 0;    // written
  int64_t changed = 0;  // tensors
};

// The adapter is one that was read for this checkpoint. What is at `path` is replaced in one step
// at the end (a directory must not be there yet). Fails as quantize() does, for weights that would
// have to be rounded again to few bits, and for sums that are not finite in their type.
Result<MergeReport> merge_lora(const Checkpoint& checkpoint, const LoraAdapter& adapter,
                               const std::filesystem::path& path, OutputFormat format,
                               const MergeOptions& options);

}  // namespace fathom
