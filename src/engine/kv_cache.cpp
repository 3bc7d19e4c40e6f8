#include "engine/kv_cache.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace fathom {

Result<KvCache> KvCache::make(const CacheLayout& layout, int64_t tokens) {
  FATHOM_TRY(CachePool pool, CachePool::make(layout, pages_for(tokens)));
  return KvCache(std::move(pool));
}

KvCache::KvCache(CachePool pool)
    : pool_(std::move(pool)), owners_(static_cast<size_t>(pool_.pages()), 0) {
  free_.reserve(owners_.size());
  for (auto page = static_cast<int32_t>(pool_.pages()); page-- > 0;) free_.push_back(page);
}

std::optional<int32_t> KvCache::take() {
  if (free_.empty()) return std::nullopt;
  const int32_t page = free_.back();
  free_.pop_back();
  owners_[static_cast<size_t>(page)] = 1;
  touched_ = std::max(touched_, int64_t{page} + 1);  // the lowest free pages are taken first
  return page;
}

void KvCache::share(int32_t page) {
  FATHOM_ASSERT(owners_[static_cast<size_t>(page)] > 0);
  ++owners_[static_cast<size_t>(page)];
}

void KvCache::release(int32_t page) {
  int32_t& owners = owners_[static_cast<size_t>(page)];
  FATHOM_ASSERT(owners > 0);
  if (--owners == 0) free_.push_back(page);
}

CachedSequence::~CachedSequence() {
  truncate(0);
}

bool CachedSequence::append(std::span<const int32_t> tokens) {
  const int64_t needed = pages_for(length() + static_cast<int64_t>(tokens.size())) -
                         static_cast<int64_t>(pages_.size());
  if (needed > cache_->free_pages()) return false;
  for (int64_t i = 0; i < needed; ++i) pages_.push_back(*cache_->take());
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  return true;
}

void CachedSequence::adopt(int32_t page, std::span<const int32_t> tokens) {
  FATHOM_ASSERT(length() % CachePool::kPageTokens == 0 &&
                std::ssize(tokens) == CachePool::kPageTokens);
  cache_->share(page);
  pages_.push_back(page);
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

void CachedSequence::truncate(int64_t length) {
  if (length >= this->length()) return;
  tokens_.resize(static_cast<size_t>(length));
  const auto kept = static_cast<size_t>(pages_for(length));
  for (size_t i = kept; i < pages_.size(); ++i) cache_->release(pages_[i]);
  pages_.resize(kept);
}

int64_t CachedSequence::common_prefix(std::span<const int32_t> tokens) const {
  return std::mismatch(tokens_.begin(), tokens_.end(), tokens.begin(), tokens.end()).first -
         tokens_.begin();
}

}  // namespace fathom
