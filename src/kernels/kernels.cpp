#include "kernels/kernels.h"

#include "kernels/cpu_features.h"
#include "kernels/packed/packed_kernels.h"
#include "kernels/reference/reference_kernels.h"

namespace fathom {

std::unique_ptr<Kernels> Kernels::make(KernelChoice choice, int threads) {
  if (choice == KernelChoice::kAuto) {
    if (cpu_has_avx2() && avx2_ops() != nullptr) {
      return std::make_unique<PackedKernels>(*avx2_ops(), threads);
    }
  }
  return std::make_unique<ReferenceKernels>(threads);
}

}  // namespace fathom
