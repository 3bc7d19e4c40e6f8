// The codec of a quantised type, whichever kind it has: groups with a scale each (tensor/encode.h)
// or GGUF's K types (tensor/super_block.h).
#pragma once

#include "tensor/encode.h"
#include "tensor/super_block.h"

namespace fathom {

inline bool has_codec(DType dtype) {
  return GroupCodec::exists(dtype) || SuperBlockCodec::exists(dtype);
}

// Neighbours whose joint second moments rounding to a type is judged by: its group, or in a K type
// two of 16 or one of 32, so that it goes with GGUF's other types, whose groups have 32.
inline int64_t judged_block(DType dtype) {
  return SuperBlockCodec::exists(dtype) ? 32 : info(dtype).block_elements;
}

// use(codec), of a type that has one.
template <typename Use>
auto with_codec(DType dtype, bool positive, Use use) {
  if (SuperBlockCodec::exists(dtype)) return use(SuperBlockCodec(dtype));
  return use(GroupCodec(dtype, positive));
}

}  // namespace fathom
