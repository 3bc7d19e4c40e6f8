#include "kernels/packed/vector_ops.h"

#if defined(__ARM_FEATURE_MATMUL_INT8)
#define FATHOM_SIMD_NAMESPACE neon_i8mm
#include "kernels/neon/simd.h"
//
#include "kernels/neon/row_pairs.h"
//
#include "kernels/simd/make_ops.h"

namespace fathom {

const VectorOps* neon_i8mm_ops() {
  static constexpr VectorOps kOps = neon_i8mm::make_ops("neon-i8mm");
  return &kOps;
}

}  // namespace fathom
#else
namespace fathom {
const VectorOps* neon_i8mm_ops() {
  return nullptr;
}
}  // namespace fathom
#endif
