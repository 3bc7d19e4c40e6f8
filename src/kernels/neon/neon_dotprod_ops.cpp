#include "kernels/packed/vector_ops.h"

#if defined(__ARM_FEATURE_DOTPROD)
#define FATHOM_SIMD_NAMESPACE neon_dotprod
#include "kernels/neon/simd.h"
//
#include "kernels/simd/make_ops.h"

namespace fathom {

const VectorOps* neon_dotprod_ops() {
  static constexpr VectorOps kOps = neon_dotprod::make_ops("neon-dotprod");
  return &kOps;
}

}  // namespace fathom
#else
namespace fathom {
const VectorOps* neon_dotprod_ops() {
  return nullptr;
}
}  // namespace fathom
#endif
