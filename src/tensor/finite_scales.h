// Are the scales of a tensor's blocks finite? One NaN or infinity in a scale silently turns every
// logit into NaN, so a loader asks before it packs. Reads the scales of the whole tensor; for
// plain types, every element. Thread-safe.
#pragma once

#include "base/result.h"
#include "tensor/tensor.h"

namespace fathom {

// The error names the tensor, the row and what was found.
Status check_finite_scales(const Tensor& tensor);

// The same for rows [row_begin, row_begin + rows), for loaders that share the work among threads.
Status check_finite_scales(const Tensor& tensor, int64_t row_begin, int64_t rows);

}  // namespace fathom
