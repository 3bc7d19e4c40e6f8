// The KV cache's memory: a pool of fixed-size pages. A page holds page_tokens tokens of one
// sequence for all layers; which page belongs to whom is the engine's business (engine/kv_cache).
//
// Memory is reserved as address space at once and taken by the system when a page is first
// written, so a large pool that is little used costs little. A page's layers lie together, so that
// this holds for huge pages too, which are asked for where the pool is large enough.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/memory_placement.h"
#include "base/result.h"
#include "kernels/attention.h"

namespace fathom {

// What a token's row is in each layer: K and V of all KV heads, or MLA's latent and rotary key.
struct CacheLayout {
  int64_t layers = 0;
  int64_t key_width = 0;
  int64_t value_width = 0;  // 0 with values_in_keys
  bool values_in_keys = false;
  CacheType type = CacheType::kF16;
  int64_t kv_heads = 1;
  int64_t key_split = 0;           // as in CacheView
  MemoryPlacement placement = {};  // of the pool's memory

  int64_t bytes_per_token() const;  // of all layers, with the scales of INT8
};

class CachePool {
 public:
  static constexpr int64_t kPageTokens = 32;

  static Result<CachePool> make(const CacheLayout& layout, int64_t pages);

  int64_t pages() const { return pages_; }
  const CacheLayout& layout() const { return layout_; }
  CacheView layer(int64_t layer) const;
  // All rows of all layers. Not while a step computes either page.
  void copy_page(int64_t from, int64_t to);

 private:
  struct Unmap {
    size_t size = 0;
    void operator()(std::byte* p) const;
  };
  CachePool(const CacheLayout& layout, int64_t pages, std::unique_ptr<std::byte, Unmap> memory);

  CacheLayout layout_;
  int64_t pages_ = 0;
  std::unique_ptr<std::byte, Unmap> memory_;  // [pages][layers], each as CacheView says
};

}  // namespace fathom
