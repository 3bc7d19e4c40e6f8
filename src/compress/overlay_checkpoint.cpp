#include "compress/overlay_checkpoint.h"

#include <algorithm>

#include "base/assert.h"

namespace fathom {

OverlayCheckpoint::OverlayCheckpoint(const Checkpoint& original,
                                     const std::vector<Tensor>& replacements)
    : DerivedCheckpoint(original, original.tensors()) {
  for (const Tensor& replacement : replacements) {
    const auto place = std::ranges::lower_bound(tensors_, replacement.name, {}, &Tensor::name);
    FATHOM_ASSERT(place != tensors_.end() && place->name == replacement.name &&
                  place->shape == replacement.shape);
    *place = replacement;
  }
}

}  // namespace fathom
