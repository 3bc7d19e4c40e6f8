#include "kernels/packed/aligned_buffer.h"

#include <algorithm>
#include <cstdlib>

#include "base/assert.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace fathom {

void FreeAligned::operator()(std::byte* p) const {
  std::free(p);
}

AlignedBytes allocate_aligned(int64_t bytes) {
  constexpr size_t kLine = 64;
  constexpr size_t kHugePage = size_t{2} << 20;
  const auto wanted = static_cast<size_t>(std::max<int64_t>(bytes, 1));
  const bool huge = wanted >= 2 * kHugePage;
  const size_t alignment = huge ? kHugePage : kLine;
  const size_t rounded = (wanted + kLine - 1) / kLine * kLine;
  auto* p = static_cast<std::byte*>(
      std::aligned_alloc(alignment, (rounded + alignment - 1) / alignment * alignment));
  FATHOM_ASSERT(p != nullptr);
#if defined(__linux__)
  // A wish: where it is refused, ordinary pages do.
  if (huge) (void)madvise(p, rounded, MADV_HUGEPAGE);
#endif
  return AlignedBytes(p);
}

}  // namespace fathom
