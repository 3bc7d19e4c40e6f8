#include "layers/cache.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace fathom {

namespace {

// All of a layer's view but where its pages lie.
CacheView view_of(const CacheLayout& layout) {
  CacheView view;
  view.type = layout.type;
  view.page_tokens = CachePool::kPageTokens;
  view.key_width = layout.key_width;
  view.value_width = layout.values_in_keys ? 0 : layout.value_width;
  view.values_in_keys = layout.values_in_keys;
  view.kv_heads = layout.kv_heads;
  view.key_split = layout.key_split;
  return view;
}

}  // namespace

int64_t CacheLayout::bytes_per_token() const {
  return layers * cache_page_bytes(view_of(*this)) / CachePool::kPageTokens;
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
#if defined(__linux__)
  // A wish: where it is refused, ordinary pages do.
  constexpr size_t kWorthwhile = size_t{8} << 20;
  if (bytes >= kWorthwhile) (void)madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  layout.placement.spread(memory, bytes);
  return CachePool(layout, pages,
                   std::unique_ptr<std::byte, Unmap>(static_cast<std::byte*>(memory), {bytes}));
}

CacheView CachePool::layer(int64_t layer) const {
  CacheView view = view_of(layout_);
  const int64_t bytes = cache_page_bytes(view);
  view.page_bytes = layout_.layers * bytes;
  view.base = memory_.get() + layer * bytes;
  return view;
}

void CachePool::copy_page(int64_t from, int64_t to) {
  const int64_t bytes = layout_.bytes_per_token() * kPageTokens;
  std::memcpy(memory_.get() + to * bytes, memory_.get() + from * bytes, static_cast<size_t>(bytes));
}

}  // namespace fathom
