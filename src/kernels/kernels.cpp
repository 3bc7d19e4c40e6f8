#include "kernels/kernels.h"

#include "kernels/reference/reference_kernels.h"

namespace fathom {

std::unique_ptr<Kernels> Kernels::make(KernelChoice /*choice*/, int threads) {
  return std::make_unique<ReferenceKernels>(threads);
}

}  // namespace fathom
