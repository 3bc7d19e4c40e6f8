#include "layers/workspace.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace fathom {

namespace {
constexpr int64_t kAlignment = 64;
constexpr int64_t kChunkBytes = int64_t{4} << 20;
}  // namespace

void Workspace::Free::operator()(std::byte* p) const {
  std::free(p);
}

void* Workspace::take(int64_t bytes) {
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  while (chunk_ < chunks_.size() && used_ + bytes > chunks_[chunk_].size) {
    ++chunk_;
    used_ = 0;
  }
  if (chunk_ == chunks_.size()) {
    const int64_t size = std::max(bytes, kChunkBytes);
    auto* memory = static_cast<std::byte*>(
        std::aligned_alloc(static_cast<size_t>(kAlignment), static_cast<size_t>(size)));
    if (memory == nullptr) throw std::bad_alloc();
    chunks_.push_back({std::unique_ptr<std::byte, Free>(memory), size});
  }
  void* taken = chunks_[chunk_].data.get() + used_;
  used_ += bytes;
  return taken;
}

int64_t Workspace::capacity() const {
  int64_t total = 0;
  for (const Chunk& chunk : chunks_) total += chunk.size;
  return total;
}

}  // namespace fathom
