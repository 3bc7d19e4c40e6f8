#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <cstring>

#include <numeric>
#include <set>
#include <vector>

namespace fathom {
namespace {

constexpr int64_t kPage = CachePool::kPageTokens;

KvCache small_cache(int64_t tokens) {
  auto cache = KvCache::make({.layers = 2, .key_width = 4, .value_width = 4}, tokens);
  EXPECT_TRUE(cache);
  return *std::move(cache);
}

std::vector<int32_t> counting(int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

TEST(KvCache, RoundsItsSizeUpToWholePages) {
  EXPECT_EQ(small_cache(1).free_pages(), 1);
  EXPECT_EQ(small_cache(kPage).free_pages(), 1);
  EXPECT_EQ(small_cache(kPage + 1).free_pages(), 2);
}

TEST(KvCache, HandsOutEveryPageOnceAndThenNone) {
  KvCache cache = small_cache(3 * kPage);
  std::set<int32_t> pages;
  while (const auto page = cache.take()) pages.insert(*page);
  EXPECT_EQ(pages, (std::set<int32_t>{0, 1, 2}));
}

TEST(KvCache, FreesASharedPageWithItsLastOwner) {
  KvCache cache = small_cache(kPage);
  const int32_t page = *cache.take();
  cache.share(page);
  cache.release(page);
  EXPECT_EQ(cache.free_pages(), 0);
  cache.release(page);
  EXPECT_EQ(cache.free_pages(), 1);
}

TEST(KvCache, CountsThePagesThatWereEverUsed) {
  KvCache cache = small_cache(8 * kPage);
  EXPECT_EQ(cache.touched_pages(), 0);
  {
    CachedSequence one(cache);
    CachedSequence other(cache);
    ASSERT_TRUE(one.append(counting(2 * kPage)));
    ASSERT_TRUE(other.append(counting(kPage)));
    EXPECT_EQ(cache.touched_pages(), 3);
  }
  // What was given back is taken again before pages that nobody has written to.
  CachedSequence next(cache);
  ASSERT_TRUE(next.append(counting(3 * kPage)));
  EXPECT_EQ(cache.touched_pages(), 3);
  ASSERT_TRUE(next.append(counting(1)));
  EXPECT_EQ(cache.touched_pages(), 4);
}

TEST(KvCacheDeathTest, AbortsWhenAFreePageIsReleased) {
  KvCache cache = small_cache(kPage);
  EXPECT_DEATH(cache.release(0), "broken invariant");
}

TEST(KvCache, GivesEveryLayerItsOwnMemory) {
  KvCache cache = small_cache(2 * kPage);
  const CacheView first = cache.pool().layer(0);
  const CacheView second = cache.pool().layer(1);
  EXPECT_EQ(second.base - first.base, kPage * 8 * 2);
  EXPECT_EQ(first.page_bytes, 2 * kPage * 8 * 2);  // all layers of a page lie together
  std::memset(first.base, 1, kPage * 8 * 2);
  std::memset(second.base, 2, kPage * 8 * 2);
  cache.pool().copy_page(0, 1);
  EXPECT_EQ(first.base[first.page_bytes], std::byte{1});
  EXPECT_EQ(second.base[first.page_bytes], std::byte{2});
}

TEST(KvCache, CountsTheScalesOfInt8) {
  CacheLayout layout = {.layers = 3, .key_width = 256, .value_width = 256, .kv_heads = 2};
  EXPECT_EQ(layout.bytes_per_token(), 3 * 512 * 2);
  layout.type = CacheType::kInt8;
  EXPECT_EQ(layout.bytes_per_token(), 3 * (512 + 4 * 4));
}

TEST(CachedSequence, TakesPagesAsItGrowsAndGivesThemBack) {
  KvCache cache = small_cache(4 * kPage);
  {
    CachedSequence sequence(cache);
    ASSERT_TRUE(sequence.append(counting(kPage)));
    EXPECT_EQ(cache.free_pages(), 3);
    ASSERT_TRUE(sequence.append(counting(1)));
    EXPECT_EQ(cache.free_pages(), 2);
    sequence.truncate(kPage);
    EXPECT_EQ(cache.free_pages(), 3);
    EXPECT_EQ(sequence.length(), kPage);
  }
  EXPECT_EQ(cache.free_pages(), 4);
}

TEST(CachedSequence, StaysAsItWasWhenTheCacheIsFull) {
  KvCache cache = small_cache(2 * kPage);
  CachedSequence sequence(cache);
  ASSERT_TRUE(sequence.append(counting(kPage)));
  EXPECT_FALSE(sequence.append(counting(2 * kPage)));
  EXPECT_EQ(sequence.length(), kPage);
  EXPECT_EQ(cache.free_pages(), 1);
}

TEST(CachedSequence, KnowsItsCommonPrefixWithOtherTokens) {
  KvCache cache = small_cache(kPage);
  CachedSequence sequence(cache);
  ASSERT_TRUE(sequence.append(counting(5)));
  EXPECT_EQ(sequence.common_prefix(std::vector<int32_t>{0, 1, 2, 9}), 3);
  EXPECT_EQ(sequence.common_prefix(counting(9)), 5);
  EXPECT_EQ(sequence.common_prefix({}), 0);
}

TEST(CachePool, RefusesMoreMemoryThanThereCanBe) {
  const auto cache =
      KvCache::make({.layers = 64, .key_width = 1 << 16, .value_width = 1 << 16}, int64_t{1} << 33);
  ASSERT_FALSE(cache);
  EXPECT_NE(cache.error().message.find("--context"), std::string::npos);
}

}  // namespace
}  // namespace fathom
