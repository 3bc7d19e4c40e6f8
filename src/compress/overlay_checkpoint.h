// A checkpoint with some of its tensors replaced: what a model is with its weights scaled or
// rounded, before that is written anywhere. Everything else is the original's, which must outlive
// it; so must the replacements' data.
#pragma once

#include <vector>

#include "compress/derived_checkpoint.h"

namespace fathom {

class OverlayCheckpoint final : public DerivedCheckpoint {
 public:
  // Replacements have names of the original's tensors, and their shapes.
  OverlayCheckpoint(const Checkpoint& original, const std::vector<Tensor>& replacements);
};

}  // namespace fathom
