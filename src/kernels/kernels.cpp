#include "kernels/kernels.h"

#include "kernels/cpu_features.h"
#include "kernels/packed/packed_kernels.h"
#include "kernels/reference/reference_kernels.h"

namespace fathom {

const VectorOps* best_ops() {
  if (amx_ops() != nullptr && cpu_has_amx()) return amx_ops();
  if (avx512_bf16_ops() != nullptr && cpu_has_avx512_bf16()) return avx512_bf16_ops();
  if (cpu_has_avx512_vnni() && avx512_ops() != nullptr) return avx512_ops();
  if (cpu_has_avx2()) return avx2_ops();
  if (cpu_has_neon_i8mm() && neon_i8mm_ops() != nullptr) return neon_i8mm_ops();
  if (cpu_has_neon_dotprod() && neon_dotprod_ops() != nullptr) return neon_dotprod_ops();
  if (cpu_has_neon()) return neon_ops();
  return nullptr;
}

std::unique_ptr<Kernels> Kernels::make(KernelChoice choice, const ThreadOptions& threads) {
  const VectorOps* ops = choice == KernelChoice::kAuto ? best_ops() : nullptr;
  if (ops != nullptr) return std::make_unique<PackedKernels>(*ops, threads);
  return std::make_unique<ReferenceKernels>(threads);
}

}  // namespace fathom
