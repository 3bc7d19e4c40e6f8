#include "kernels/packed/vector_ops.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
#include "kernels/avx512/simd.h"
//
#include "kernels/simd/make_ops.h"

namespace fathom {

const VectorOps* avx512_ops() {
  static constexpr VectorOps kOps = avx512::make_ops("avx512-vnni");
  return &kOps;
}

}  // namespace fathom
#else
namespace fathom {
const VectorOps* avx512_ops() {
  return nullptr;
}
}  // namespace fathom
#endif
