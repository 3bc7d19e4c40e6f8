#include "layers/cache.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace fathom {

int64_t CacheLayout::bytes_per_token() const {
  return layers * byte_size(dtype, key_width + (values_in_keys ? 0 : value_width));
}

void CachePool::Unmap::operator()(std::byte* p) const {
  munmap(p, size);
}

CachePool::CachePool(const CacheLayout& layout, int64_t pages,
                     std::unique_ptr<std::byte, Unmap> memory)
    : layout_(layout), pages_(pages), memory_(std::move(memory)) {}

Result<CachePool> CachePool::make(const CacheLayout& layout, int64_t pages) {
  const auto bytes = static_cast<size_t>(layout.bytes_per_token() * kPageTokens * pages);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return fail(
        "The KV cache for {} tokens needs {:.1f} GB and the system refused it ({}). "
        "Choose a smaller --context.",
        pages * kPageTokens, static_cast<double>(bytes) / 1e9, std::strerror(errno));
  }
  return CachePool(layout, pages,
                   std::unique_ptr<std::byte, Unmap>(static_cast<std::byte*>(memory), {bytes}));
}

CacheView CachePool::layer(int64_t layer) const {
  CacheView view;
  view.dtype = layout_.dtype;
  view.page_tokens = kPageTokens;
  view.key_width = layout_.key_width;
  view.value_width = layout_.values_in_keys ? 0 : layout_.value_width;
  view.values_in_keys = layout_.values_in_keys;
  view.page_bytes = kPageTokens * byte_size(layout_.dtype, view.key_width + view.value_width);
  view.base = memory_.get() + layer * pages_ * view.page_bytes;
  return view;
}

void CachePool::copy_page(int64_t from, int64_t to) {
  for (int64_t i = 0; i < layout_.layers; ++i) {
    const CacheView view = layer(i);
    std::memcpy(view.base + to * view.page_bytes, view.base + from * view.page_bytes,
                static_cast<size_t>(view.page_bytes));
  }
}

}  // namespace fathom
