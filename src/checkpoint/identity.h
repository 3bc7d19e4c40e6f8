// Tells one checkpoint from another without reading it all, for what is derived from it and kept:
// where it lies, how large its files are, when they were last written to, and a fingerprint of
// their headers and of samples spread over the rest.
#pragma once

#include <cstdint>
#include <optional>

#include "checkpoint/checkpoint.h"

namespace fathom {

struct CheckpointIdentity {
  uint64_t place = 0;    // of the absolute path
  uint64_t content = 0;  // and of everything else
};

// Nothing for a checkpoint that is not in files.
std::optional<CheckpointIdentity> identify(const Checkpoint& checkpoint);

}  // namespace fathom
