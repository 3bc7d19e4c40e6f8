#include "kernels/packed/weight_memory.h"

#include "base/sanitizers.h"
#include "kernels/packed/aligned_buffer.h"

namespace fathom {
namespace {

// A sanitizer sees what is read beyond a block only if the block has memory of its own.
constexpr bool kShare = !kAddressSanitizer;

}  // namespace

std::shared_ptr<std::byte> WeightMemory::own_block(int64_t bytes) const {
  AlignedBytes block = allocate_aligned(bytes);
  placement_.spread(block.get(), static_cast<size_t>(bytes));
  return {block.release(), FreeAligned{}};
}

std::shared_ptr<std::byte> WeightMemory::allocate(int64_t bytes) {
  constexpr int64_t kLine = 64;
  const int64_t rounded = (bytes + kLine - 1) / kLine * kLine;
  if (!kShare || rounded >= kLarge) return own_block(bytes);
  if (piece_ == nullptr || used_ + rounded > kPiece) {
    piece_ = own_block(kPiece);
    used_ = 0;
  }
  std::byte* block = piece_.get() + used_;
  used_ += rounded;
  return {piece_, block};
}

}  // namespace fathom
