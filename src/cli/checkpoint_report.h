// The facts of a checkpoint for `inspect`, as text and as JSON. Refers to the checkpoint.
#pragma once

#include <cstdint>
#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/describe.h"
#include "kernels/attention.h"

namespace fathom::cli {

class CheckpointReport {
 public:
  // The memory is reckoned for a context of this many tokens (0: the model's own limit), kept as
  // `cache`.
  CheckpointReport(const Checkpoint& checkpoint, int64_t context, CacheType cache);

  std::string text(bool with_tensors) const;
  std::string json_text(bool with_tensors) const;

 private:
  int64_t cache_bytes() const { return facts_.cache_bytes_per_token * context_; }
  std::string tokenizer_text() const;  // empty: none

  const Checkpoint& checkpoint_;
  CheckpointDescription facts_;
  int64_t context_;
  CacheType cache_;
};

}  // namespace fathom::cli
