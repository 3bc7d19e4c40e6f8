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

TEST_F(PrefixCacheTest, FindsThePageThatBeginsMostAlike) {
  auto a = store({100});
  Page half = page(100);
  half[20] = 0;
  PrefixCache::Path other;
  const int32_t second = *cache.take();
  ASSERT_TRUE(prefixes.add(other, half, second));
  prefixes.begin_step();

  const auto alike = [&](Page tokens, size_t count) {
    return prefixes.most_alike({}, std::span(tokens).first(count));
  };
  Page wanted = page(100);
  wanted[25] = 1;
  EXPECT_EQ(alike(wanted, 32).page, PrefixCache::page(*a[0]));
  EXPECT_EQ(alike(wanted, 32).tokens, 25);
  EXPECT_EQ(alike(wanted, 24).tokens, 24);
  wanted = half;
  wanted[22] = 1000;
  EXPECT_EQ(alike(wanted, 32).page, second);
  EXPECT_EQ(alike(wanted, 32).tokens, 22);
  wanted[0] = 5;
  EXPECT_EQ(alike(wanted, 32).tokens, 0);
  EXPECT_EQ(prefixes.most_alike(a, page(100)).tokens, 0);  // nothing follows

  prefixes.leave(other);
  prefixes.leave(a);
  cache.release(second);
}

TEST_F(PrefixCacheTest, PassesOverPagesOfThisStepForThoseBeforeIt) {
  auto a = store({100});
  prefixes.begin_step();
  Page later = page(100);
  later[30] = 0;
  PrefixCache::Path other;
  const int32_t taken = *cache.take();
  ASSERT_TRUE(prefixes.add(other, later, taken));
  Page wanted = page(100);
  wanted[30] = 1;  // just after `later`, which has as much in common as `a`
  EXPECT_EQ(prefixes.most_alike({}, wanted).page, PrefixCache::page(*a[0]));
  wanted = later;
  wanted[31] = 1;
  EXPECT_EQ(prefixes.most_alike({}, wanted).tokens, 30);
  prefixes.begin_step();
  EXPECT_EQ(prefixes.most_alike({}, wanted).tokens, 31);
  prefixes.leave(other);
  prefixes.leave(a);
  cache.release(taken);
}

TEST_F(PrefixCacheTest, KeepsAPageThatWasCopiedLongerThanOthers) {
  auto a = store({100});
  auto b = store({200});
  prefixes.leave(a);
  prefixes.leave(b);
  prefixes.begin_step();
  Page wanted = page(100);
  wanted[9] = 0;
  EXPECT_EQ(prefixes.most_alike({}, wanted).tokens, 9);
  ASSERT_TRUE(prefixes.evict());
  EXPECT_EQ(prefixes.most_alike({}, wanted).tokens, 9);
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
