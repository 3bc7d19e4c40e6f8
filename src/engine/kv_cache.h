// Who owns which page of a CachePool. Pages are counted references, so that sequences with an equal
// beginning can share it; a page returns to the free list with its last owner.
//
// A CachedSequence is the pages of one sequence and the tokens whose keys and values they hold.
// One thread at a time. The KvCache must outlive its sequences.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "layers/cache.h"

namespace fathom {

// Pages that hold `tokens` tokens.
constexpr int64_t pages_for(int64_t tokens) {
  return (tokens + CachePool::kPageTokens - 1) / CachePool::kPageTokens;
}

class KvCache {
 public:
  // Room for `tokens` tokens, rounded up to whole pages.
  static Result<KvCache> make(const CacheLayout& layout, int64_t tokens);

  CachePool& pool() { return pool_; }
  int64_t pages() const { return pool_.pages(); }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  // Pages that had an owner once: the part of the pool that takes memory, as the rest was never
  // written to.
  int64_t touched_pages() const { return touched_; }

  std::optional<int32_t> take();  // a page with one owner, or nothing if all are in use
  void share(int32_t page);       // one more owner
  void release(int32_t page);     // one less

 private:
  explicit KvCache(CachePool pool);

  CachePool pool_;
  std::vector<int32_t> owners_;  // of each page
  std::vector<int32_t> free_;
  int64_t touched_ = 0;
};

class CachedSequence {
 public:
  explicit CachedSequence(KvCache& cache) : cache_(&cache) {}
  ~CachedSequence();
  CachedSequence(const CachedSequence&) = delete;
  CachedSequence& operator=(const CachedSequence&) = delete;

  std::span<const int32_t> tokens() const { return tokens_; }
  std::span<const int32_t> pages() const { return pages_; }
  int64_t length() const { return static_cast<int64_t>(tokens_.size()); }

  // Makes room for the tokens and notes them; the next forward() fills their rows.
  // False (and no change) if the cache has too few free pages.
  bool append(std::span<const int32_t> tokens);
  // Goes on with a page that another owner has filled with these tokens, a whole page of them.
  // This sequence must end at the end of a page.
  void adopt(int32_t page, std::span<const int32_t> tokens);
  // Forgets all but the first `length` tokens.
  void truncate(int64_t length);
  // How many of its first tokens this sequence has in common with `tokens`.
  int64_t common_prefix(std::span<const int32_t> tokens) const;

 private:
  KvCache* cache_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> pages_;
};

}  // namespace fathom
