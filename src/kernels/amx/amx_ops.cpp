#include "kernels/cpu_features.h"
#include "kernels/packed/vector_ops.h"

#if defined(__AVX512F__) && defined(__AVX512VNNI__) && defined(__AMX_INT8__)
#include "kernels/avx512/simd.h"
//
#include "kernels/amx/tile_matmul.h"

namespace fathom {
namespace {

void matmul(int dtype, const MatmulTile& tile) {
  avx512::matmul_with_tiles<amx::HardwareTiles>(dtype, tile, avx512_ops()->matmul);
}

VectorOps make_ops() {
  const bool pairs = avx512_bf16_ops() != nullptr && cpu_has_avx512_bf16();
  VectorOps ops = pairs ? *avx512_bf16_ops() : *avx512_ops();
  ops.name = "avx512-amx";
  ops.matmul = matmul;
  ops.burn_codes = avx512::burn_tiles<amx::HardwareTiles>;
  return ops;
}

}  // namespace

const VectorOps* amx_ops() {
  static const VectorOps kOps = make_ops();
  return &kOps;
}

}  // namespace fathom
#else
namespace fathom {
const VectorOps* amx_ops() {
  return nullptr;
}
}  // namespace fathom
#endif
