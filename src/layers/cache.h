// The KV cache's memory: a pool of fixed-size pages. A page holds page_tokens tokens of one
// sequence for all layers; which page belongs to whom is the engine's business (engine/kv_cache).
//
// Memory is reserved as address space at once and taken by the system when a page is first
// written, so a large pool that is little used costs little.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "kernels/attention.h"

namespace fathom {

// What a token's row is in each layer: K and V of all KV heads, or MLA's latent and rotary key.
struct CacheLayout {
  int64_t layers = 0;
  int64_t key_width = 0;
  int64_t value_width = 0;  // 0 with values_in_keys
  bool values_in_keys = false;
  DType dtype = DType::kF16;

  int64_t bytes_per_token() const;
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
  std::unique_ptr<std::byte, Unmap> memory_;  // [layers][pages][key rows, value rows]
};

}  // namespace fathom
