#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/cpu_topology.h"

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

#if defined(__linux__)
TEST(ThreadPool, PinnedWorkersHaveAProcessorEachAndTheCallerIsLeftAlone) {
  const auto allowed = allowed_cpus();
  for (const int threads : {1, 2, 3, 9}) {
    ThreadOptions options(threads);
    options.pin = true;
    ThreadPool pool(options);
    ASSERT_EQ(pool.size(), threads);
    std::vector<std::vector<int>> cpus(static_cast<size_t>(threads));
    pool.run([&](int thread) { cpus[static_cast<size_t>(thread)] = allowed_cpus(); });
    EXPECT_EQ(cpus[0], allowed);
    for (size_t i = 1; i < cpus.size(); ++i) {
      ASSERT_EQ(cpus[i].size(), 1U);
      EXPECT_TRUE(std::ranges::binary_search(allowed, cpus[i][0]));
      for (size_t j = 1; j < i && i < allowed.size(); ++j) EXPECT_NE(cpus[i], cpus[j]);
    }
  }
}

TEST(ThreadPool, WorkersThatAreNotPinnedMayRunAnywhere) {
  ThreadPool pool(3);
  const auto allowed = allowed_cpus();
  pool.run([&](int) { EXPECT_EQ(allowed_cpus(), allowed); });
}

// Pinned to processors that another program keeps busy, work still ends, done by whoever has time.
TEST(ThreadPool, PinnedWorkersShareProcessorsWithOtherPrograms) {
  std::atomic<bool> stop = false;
  std::vector<std::jthread> others;
  for (size_t i = 0; i < 2 * allowed_cpus().size(); ++i) {
    others.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
      }
    });
  }
  ThreadOptions options(4);
  options.pin = true;
  ThreadPool pool(options);
  std::atomic<int64_t> sum = 0;
  for (int region = 0; region < 200; ++region) {
    pool.parallel_for(64, 1, [&](int64_t begin, int64_t) { sum += begin; });
  }
  stop = true;
  EXPECT_EQ(sum, 200 * 64 * 63 / 2);
}
#endif

TEST(ThreadPool, TakesAThreadForEachProcessorUnlessTimeIsRationed) {
  const int threads = ThreadPool::default_threads();
  EXPECT_GE(threads, 1);
  EXPECT_LE(threads, static_cast<int>(allowed_cpus().size()));
  EXPECT_EQ(ThreadPool().size(), threads);
}

}  // namespace
}  // namespace fathom
