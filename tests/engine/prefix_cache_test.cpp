#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace fathom {
namespace {

using Page = std::array<int32_t, CachePool::kPageTokens>;

Page page(int32_t first) {
  Page tokens;
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

struct PrefixCacheTest : testing::Test {
  KvCache cache = *KvCache::make({.layers = 1, .key_width = 1, .value_width = 1}, 8 * 32);
  PrefixCache prefixes{cache};

  // As a sequence does: takes pages, adds them, gives up its own reference.
  PrefixCache::Path store(std::initializer_list<int32_t> firsts) {
    PrefixCache::Path path;
    for (const int32_t first : firsts) {
      if (prefixes.enter(path, page(first)) != nullptr) continue;
      const int32_t taken = *cache.take();
      EXPECT_TRUE(prefixes.add(path, page(first), taken));
      cache.release(taken);
    }
    return path;
  }
};

TEST_F(PrefixCacheTest, FindsThePagesOfAKnownBeginningInOrder) {
  auto stored = store({100, 200, 300});
  PrefixCache::Path path;
  ASSERT_NE(prefixes.enter(path, page(100)), nullptr);
  ASSERT_NE(prefixes.enter(path, page(200)), nullptr);
  EXPECT_EQ(prefixes.enter(path, page(400)), nullptr);
  EXPECT_EQ(path[1], stored[1]);
  PrefixCache::Path other;
  EXPECT_EQ(prefixes.enter(other, page(200)), nullptr);  // known, but not as a beginning
  prefixes.leave(path);
  prefixes.leave(stored);
}

TEST_F(PrefixCacheTest, DoesNotTakeASecondPageForTheSameTokens) {
  auto stored = store({100});
  PrefixCache::Path path;
  const int32_t own = *cache.take();
  EXPECT_FALSE(prefixes.add(path, page(100), own));
  EXPECT_TRUE(path.empty());
  cache.release(own);
  EXPECT_EQ(cache.free_pages(), 7);
  prefixes.leave(stored);
}

TEST_F(PrefixCacheTest, EvictsLeavesTheLeastRecentlyUsedFirst) {
  auto a = store({100, 200});
  prefixes.leave(a);
  auto b = store({100, 300});
  prefixes.leave(b);
  auto again = store({100, 200});
  prefixes.leave(again);
  EXPECT_EQ(prefixes.evictable(), 3);
  ASSERT_TRUE(prefixes.evict());  // 300
  PrefixCache::Path path;
  ASSERT_NE(prefixes.enter(path, page(100)), nullptr);
  EXPECT_EQ(prefixes.enter(path, page(300)), nullptr);
  EXPECT_NE(prefixes.enter(path, page(200)), nullptr);
  prefixes.leave(path);
  ASSERT_TRUE(prefixes.evict());  // 200, then its parent
  ASSERT_TRUE(prefixes.evict());
  EXPECT_FALSE(prefixes.evict());
  EXPECT_EQ(cache.free_pages(), 8);
}

TEST_F(PrefixCacheTest, KeepsWhatIsLocked) {
  auto a = store({100, 200});
  auto b = store({100, 300});
  prefixes.leave(b);
  EXPECT_EQ(prefixes.evictable(), 1);
  EXPECT_TRUE(prefixes.evict());
  EXPECT_FALSE(prefixes.evict());
  prefixes.leave(a);
  EXPECT_EQ(prefixes.evictable(), 2);
}

}  // namespace
}  // namespace fathom
