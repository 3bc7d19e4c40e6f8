// A fixed set of threads that run one parallel region at a time. The calling thread is thread 0
// and takes part, so a pool of N makes N - 1 threads.
//
// Regions are short (microseconds), so waiting threads spin for a while before they sleep, and
// starting a region takes no lock. A worker that the system has descheduled does not hold up a
// parallel_for: its pieces go to the others, and it finds the region closed when it comes late.
// One thread at a time may start regions; the function passed must not start one itself. Results
// never depend on the number of threads: callers split work by rows or tiles whose inner order is
// fixed.
#pragma once

#include <cstdint>
#include <memory>

#include "base/function_ref.h"
#include "base/memory_placement.h"

namespace fathom {

struct ThreadOptions {
  int threads = 0;  // <= 0: as many as default_threads() says
  // Binds each worker to a processor of its own, cores first (base/cpu_topology.h); with more
  // threads than processors they share. The calling thread is the program's: it stays free, and
  // the processor that would be its own is left to it.
  bool pin = false;
  // Spreads weights and the KV cache over the memory nodes of this process's processors.
  bool numa = true;

  ThreadOptions(int count = 0) : threads(count) {}  // NOLINT(google-explicit-constructor)
};

class ThreadPool {
 public:
  explicit ThreadPool(const ThreadOptions& options = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;
  // Of memory that all threads use: on the nodes of this process's processors, or anywhere.
  const MemoryPlacement& placement() const;

  // Calls task(thread) once on every thread, 0 <= thread < size(), and returns when all are done.
  void run(FunctionRef<void(int thread)> task);

  // Calls body over [0, count) in pieces of at most `grain`: each thread works through a range of
  // its own, then helps the others with theirs. The second form also tells which thread runs the
  // piece, for scratch memory that is kept per thread.
  void parallel_for(int64_t count, int64_t grain,
                    FunctionRef<void(int64_t begin, int64_t end)> body);
  void parallel_for(int64_t count, int64_t grain,
                    FunctionRef<void(int thread, int64_t begin, int64_t end)> body);

  // One for each core that this process may use: its affinity mask's, not the machine's, and no
  // more than its control groups give it time for.
  static int default_threads();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fathom
