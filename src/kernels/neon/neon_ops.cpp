#include "kernels/packed/vector_ops.h"

#if defined(__aarch64__)
#define FATHOM_SIMD_NAMESPACE neon
#include "kernels/neon/simd.h"
//
#include "kernels/simd/make_ops.h"

namespace fathom {

const VectorOps* neon_ops() {
  static constexpr VectorOps kOps = neon::make_ops("neon");
  return &kOps;
}

}  // namespace fathom
#else
namespace fathom {
const VectorOps* neon_ops() {
  return nullptr;
}
}  // namespace fathom
#endif
