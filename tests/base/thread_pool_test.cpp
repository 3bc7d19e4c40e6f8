#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace fathom {
namespace {

class ThreadPoolOfSize : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Sizes, ThreadPoolOfSize, ::testing::Values(1, 2, 3, 8, 33));

TEST_P(ThreadPoolOfSize, RunCallsTheTaskOnceOnEachThread) {
  ThreadPool pool(GetParam());
  ASSERT_EQ(pool.size(), GetParam());
  std::vector<int> calls(static_cast<size_t>(pool.size()), 0);
  for (int region = 1; region <= 50; ++region) {
    pool.run([&](int thread) { ++calls[static_cast<size_t>(thread)]; });
    for (int n : calls) ASSERT_EQ(n, region);
  }
}

TEST_P(ThreadPoolOfSize, ParallelForCoversEveryElementOnceInPiecesOfAtMostTheGrain) {
  ThreadPool pool(GetParam());
  for (int64_t count : {0, 1, 2, 63, 64, 65, 1000}) {
    for (int64_t grain : {1, 7, 64, 5000}) {
      std::vector<int> seen(static_cast<size_t>(count), 0);
      std::atomic<bool> within = true;
      pool.parallel_for(count, grain, [&](int64_t begin, int64_t end) {
        if (begin >= end || end - begin > grain || end > count) within = false;
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      EXPECT_TRUE(within);
      for (int n : seen) ASSERT_EQ(n, 1) << "count " << count << ", grain " << grain;
    }
  }
}

TEST_P(ThreadPoolOfSize, APieceRunsAloneOnTheThreadItIsTold) {
  ThreadPool pool(GetParam());
  std::vector<int> scratch(static_cast<size_t>(pool.size()), 0);  // raced on if two share an index
  int64_t total = 0;
  for (int region = 0; region < 50; ++region) {
    pool.parallel_for(100, 3, [&](int thread, int64_t begin, int64_t end) {
      scratch[static_cast<size_t>(thread)] += static_cast<int>(end - begin);
    });
  }
  for (int n : scratch) total += n;
  EXPECT_EQ(total, 50 * 100);
}

TEST_P(ThreadPoolOfSize, WritesOfOneRegionAreSeenByTheNext) {
  ThreadPool pool(GetParam());
  std::vector<uint64_t> values(257, 0);
  for (int region = 0; region < 300; ++region) {
    pool.parallel_for(257, 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        auto& value = values[static_cast<size_t>(i)];
        value = value * 3 + static_cast<uint64_t>(i + region);
      }
    });
  }
  for (int64_t i = 0; i < 257; ++i) {
    uint64_t expected = 0;
    for (int region = 0; region < 300; ++region) {
      expected = expected * 3 + static_cast<uint64_t>(i + region);
    }
    ASSERT_EQ(values[static_cast<size_t>(i)], expected);
  }
}

TEST_P(ThreadPoolOfSize, SleepingWorkersTakePartAgain) {
  ThreadPool pool(GetParam());
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> calls = 0;
    pool.run([&](int) { ++calls; });
    EXPECT_EQ(calls, pool.size());
  }
}

TEST(ThreadPool, MakesOneThreadForEachUsableCoreUnlessToldOtherwise) {
  EXPECT_EQ(ThreadPool(0).size(), ThreadPool::default_threads());
  EXPECT_GE(ThreadPool::default_threads(), 1);
}

TEST(ThreadPool, ManyPoolsComeAndGo) {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(4);
    if (i % 2 == 0) pool.parallel_for(10, 1, [](int64_t, int64_t) {});
  }
}

// A worker that holds a piece is waited for; one that never started must not be.
TEST(ThreadPool, ASlowPieceDoesNotStopTheOthersFromBeingDone) {
  ThreadPool pool(2);
  std::atomic<int> done = 0;
  pool.parallel_for(40, 1, [&](int64_t begin, int64_t) {
    if (begin == 0) {
      while (done < 39) std::this_thread::yield();
    } else {
      ++done;
    }
  });
  EXPECT_EQ(done, 39);
}

}  // namespace
}  // namespace fathom
