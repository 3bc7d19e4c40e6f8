// Memory for packed matrices. Small ones (experts, heads of MLA) are cut from
// pieces of kPiece bytes, so that they have huge pages as large ones do: a decode step reads all
// weights once, and with pages of 4 KiB a translation for every 64 lines of it.
//
// A piece lives as long as one of its blocks. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/memory_placement.h"

namespace fathom {

class WeightMemory {
 public:
  // The placement must outlive it.
  explicit WeightMemory(const MemoryPlacement& placement) : placement_(placement) {}

  static constexpr int64_t kPiece = int64_t{64} << 20;
  static constexpr int64_t kLarge = int64_t{4} << 20;  // from here on a block has its own memory

  // Aligned to 64 bytes, uninitialised. Aborts if there is no memory.
  std::shared_ptr<std::byte> allocate(int64_t bytes);

 private:
  std::shared_ptr<std::byte> own_block(int64_t bytes) const;

  const MemoryPlacement& placement_;
  std::shared_ptr<std::byte> piece_;
  int64_t used_ = 0;  // of piece_
};

}  // namespace fathom
