#include "kernels/packed/vector_ops.h"

namespace fathom {
const VectorOps* avx512_ops() {
  return nullptr;
}
}  // namespace fathom
