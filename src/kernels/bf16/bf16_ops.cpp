#include "kernels/packed/vector_ops.h"

#if defined(__AVX512F__) && defined(__AVX512VNNI__) && defined(__AVX512BF16__)
#include "kernels/avx512/simd.h"
//
#include "kernels/bf16/latent_attention.h"

namespace fathom {
namespace {

void attend(const AttentionPass& pass) {
  if (avx512::can_attend_latent(pass)) {
    avx512::attend_latent(pass);
  } else {
    avx512_ops()->attend(pass);
  }
}

VectorOps make_ops() {
  VectorOps ops = *avx512_ops();
  ops.name = "avx512-bf16";
  ops.attend = attend;
  return ops;
}

}  // namespace

const VectorOps* avx512_bf16_ops() {
  static const VectorOps kOps = make_ops();
  return &kOps;
}

}  // namespace fathom
#else
namespace fathom {
const VectorOps* avx512_bf16_ops() {
  return nullptr;
}
}  // namespace fathom
#endif
