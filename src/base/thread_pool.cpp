#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/assert.h"
#include "base/cpu_topology.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fathom {
namespace {

// Long enough to bridge the serial code between two regions of a step, short enough that an idle
// engine costs nothing.
constexpr std::chrono::microseconds kSpin{50};

inline void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

// Waits for ready() by spinning; false if the time is over first.
template <typename Ready>
bool spin_until(Ready ready, std::chrono::microseconds limit) {
  if (ready()) return true;
  if (limit.count() == 0) return false;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  do {
    for (int i = 0; i < 16; ++i) {
      pause();
      if (ready()) return true;
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

// The gate says which region is current, whether threads may still enter it, and how many workers
// are inside. One word, so that a late worker can never enter a region that has been closed.
constexpr uint64_t kOpen = uint64_t{1} << 31;
constexpr uint64_t kInside = kOpen - 1;
uint32_t region_of(uint64_t gate) {
  return static_cast<uint32_t>(gate >> 32);
}

// A wish: where the system refuses, the thread runs anywhere.
void bind_to(std::jthread& thread, int cpu) {
#if defined(__linux__)
  if (cpu < 0 || cpu >= CPU_SETSIZE) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  (void)pthread_setaffinity_np(thread.native_handle(), sizeof(set), &set);
#else
  static_cast<void>(thread);
  static_cast<void>(cpu);
#endif
}

// A thread's part of a parallel_for: what lies together is read by one thread in its order, as fast
// as memory gives it, which pieces that went now here, now there would not be.
struct alignas(64) Range {
  std::atomic<int64_t> next = 0;
  int64_t end = 0;
};

}  // namespace

struct ThreadPool::State {
  using Task = FunctionRef<void(int)>;

  int size = 1;
  std::chrono::microseconds spin = kSpin;
  const Task* task = nullptr;      // of the current region; written while the gate is closed
  bool everyone = false;           // the region ends only when each worker has run the task
  std::atomic<bool> stop = false;  // written before the last region is announced
  std::vector<std::jthread> workers;
  MemoryPlacement placement;

  alignas(64) std::atomic<uint64_t> gate = 0;
  alignas(64) std::atomic<uint32_t> region = 0;    // the gate's region, for sleeping workers
  alignas(64) std::atomic<uint32_t> finished = 0;  // changes when the caller should look again
  alignas(64) std::atomic<int> served = 0;         // workers that have run the current task
  std::vector<Range> ranges;                       // of the current parallel_for, by thread

  void work(int thread);
  void start(const Task& region_task, bool all);
  void finish();
};

void ThreadPool::State::work(int thread) {
  uint32_t seen = 0;
  while (true) {
    const auto changed = [&] { return region_of(gate.load(std::memory_order_acquire)) != seen; };
    if (!spin_until(changed, spin)) {
      region.wait(seen);
      // The gate changes before `region` does, so it is new now; only a stray wake-up is not.
      if (!changed()) continue;
    }
    uint64_t now = gate.load(std::memory_order_acquire);
    bool entered = false;
    while ((now & kOpen) != 0 && region_of(now) != seen && !entered) {
      entered = gate.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel,
                                           std::memory_order_acquire);
    }
    seen = region_of(now);
    if (!entered) {
      // Only now: between a look at `stop` and one at the gate the last region could be announced,
      // and would pass for a region that came too late.
      if (stop.load(std::memory_order_acquire)) return;
      continue;
    }

    (*task)(thread);
    const bool tell = everyone && served.fetch_add(1, std::memory_order_acq_rel) + 2 == size;
    const uint64_t left = gate.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if (tell || (left & (kOpen | kInside)) == 0) {
      finished.fetch_add(1);
      finished.notify_one();
    }
  }
}

void ThreadPool::State::start(const Task& region_task, bool all) {
  task = &region_task;
  everyone = all;
  served.store(0, std::memory_order_relaxed);
  const uint32_t number = region_of(gate.load(std::memory_order_relaxed)) + 1;
  gate.store((uint64_t{number} << 32) | kOpen, std::memory_order_release);
  region.store(number);
  region.notify_all();
}

void ThreadPool::State::finish() {
  const auto wait_for = [this](auto ready) {
    while (!spin_until(ready, spin)) {
      const uint32_t before = finished.load();
      if (ready()) break;
      finished.wait(before);
    }
  };
  if (everyone) {
    wait_for([this] { return served.load(std::memory_order_acquire) + 1 == size; });
  }
  gate.fetch_and(~kOpen, std::memory_order_acq_rel);
  wait_for([this] { return (gate.load(std::memory_order_acquire) & kInside) == 0; });
}

ThreadPool::ThreadPool(const ThreadOptions& options) : state_(std::make_unique<State>()) {
  state_->size = options.threads > 0 ? options.threads : default_threads();
  // With more threads than cores a spinning thread keeps a working one from its core.
  if (state_->size > default_threads()) state_->spin = std::chrono::microseconds{0};
  state_->ranges = std::vector<Range>(static_cast<size_t>(state_->size));
  for (int i = 1; i < state_->size; ++i) {
    state_->workers.emplace_back([state = state_.get(), i] { state->work(i); });
  }
  if (!options.pin && !options.numa) return;
  const CpuTopology topology = read_cpu_topology(allowed_cpus(), "/sys");
  if (options.numa) state_->placement = MemoryPlacement(topology.nodes());
  if (!options.pin) return;
  for (size_t i = 0; i < state_->workers.size(); ++i) {
    bind_to(state_->workers[i], topology.cpus[(i + 1) % topology.cpus.size()].id);
  }
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_release);
  const uint32_t number = region_of(state_->gate.load()) + 1;
  state_->gate.store(uint64_t{number} << 32, std::memory_order_release);
  state_->region.store(number);
  state_->region.notify_all();
  state_->workers.clear();
}

int ThreadPool::size() const {
  return state_->size;
}

const MemoryPlacement& ThreadPool::placement() const {
  return state_->placement;
}

void ThreadPool::run(FunctionRef<void(int)> task) {
  if (state_->size == 1) return task(0);
  state_->start(task, true);
  task(0);
  state_->finish();
}

void ThreadPool::parallel_for(int64_t count, int64_t grain,
                              FunctionRef<void(int64_t, int64_t)> body) {
  parallel_for(count, grain, [&](int /*thread*/, int64_t begin, int64_t end) { body(begin, end); });
}

void ThreadPool::parallel_for(int64_t count, int64_t grain,
                              FunctionRef<void(int, int64_t, int64_t)> body) {
  FATHOM_ASSERT(grain > 0);
  if (state_->size == 1 || count <= grain) {
    for (int64_t begin = 0; begin < count; begin += grain) {
      body(0, begin, std::min(begin + grain, count));
    }
    return;
  }
  std::vector<Range>& ranges = state_->ranges;
  const int64_t pieces = (count + grain - 1) / grain;
  for (int t = 0; t < state_->size; ++t) {
    Range& range = ranges[static_cast<size_t>(t)];
    range.next.store(pieces * t / state_->size * grain, std::memory_order_relaxed);
    range.end = std::min(pieces * (t + 1) / state_->size * grain, count);
  }
  // First a thread's own range, then what is left of the others'.
  const auto take_pieces = [&](int thread) {
    for (int i = 0; i < state_->size; ++i) {
      Range& range = ranges[static_cast<size_t>((thread + i) % state_->size)];
      while (true) {
        const int64_t begin = range.next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= range.end) break;
        body(thread, begin, std::min(begin + grain, range.end));
      }
    }
  };
  const State::Task task(take_pieces);
  state_->start(task, false);
  task(0);
  state_->finish();
}

int ThreadPool::default_threads() {
  const auto cpus = static_cast<int>(allowed_cpus().size());
  // Half a processor's time still helps; a hair's breadth does not.
  const double quota = cpu_quota("/").value_or(cpus);
  return std::clamp(static_cast<int>(std::min<double>(quota + 0.5, cpus)), 1, cpus);
}

}  // namespace fathom
