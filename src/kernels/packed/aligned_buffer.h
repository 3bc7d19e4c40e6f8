// Memory for vectors: aligned to 64 bytes, uninitialised, growing on demand and never shrinking.
// Growing loses the contents. Owned by one object; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace fathom {

struct FreeAligned {
  void operator()(std::byte* p) const;
};
using AlignedBytes = std::unique_ptr<std::byte, FreeAligned>;

// Aborts if there is no memory. Large blocks ask the system for huge pages.
AlignedBytes allocate_aligned(int64_t bytes);

class AlignedBuffer {
 public:
  std::byte* grow(int64_t bytes) {
    if (bytes > size_) {
      memory_.reset();
      memory_ = allocate_aligned(bytes);
      size_ = bytes;
    }
    return memory_.get();
  }
  float* grow_floats(int64_t count) {
    return reinterpret_cast<float*>(grow(count * static_cast<int64_t>(sizeof(float))));
  }
  std::byte* data() const { return memory_.get(); }

 private:
  AlignedBytes memory_;
  int64_t size_ = 0;
};

}  // namespace fathom
