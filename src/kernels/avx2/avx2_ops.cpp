#include "kernels/packed/vector_ops.h"

#if defined(__AVX2__)
#include "kernels/avx2/simd.h"
//
#include "kernels/simd/make_ops.h"

namespace fathom {

const VectorOps* avx2_ops() {
  static constexpr VectorOps kOps = avx2::make_ops("avx2");
  return &kOps;
}

}  // namespace fathom
#else
namespace fathom {
const VectorOps* avx2_ops() {
  return nullptr;
}
}  // namespace fathom
#endif
