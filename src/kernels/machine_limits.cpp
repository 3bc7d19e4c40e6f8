#include "kernels/machine_limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "kernels/packed/aligned_buffer.h"
#include "kernels/packed/vector_ops.h"
#include "kernels/simd/unroll.h"

namespace fathom {
namespace {

double seconds_of(FunctionRef<void()> work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// By vectors of the compiler's, which keeps these in registers; arrays it would keep on the stack,
// and that would be slower than memory.
uint64_t read_all(const std::byte* from, int64_t bytes) {
  using Vector [[gnu::vector_size(16)]] = uint64_t;
  constexpr int64_t kVectors = 8;
  Vector sums[kVectors] = {};
  for (int64_t at = 0; at < bytes; at += kVectors * static_cast<int64_t>(sizeof(Vector))) {
    FATHOM_UNROLL
    for (int64_t i = 0; i < kVectors; ++i) {
      Vector read;
      std::memcpy(&read, from + at + i * static_cast<int64_t>(sizeof(Vector)), sizeof(Vector));
      sums[i] ^= read;
    }
  }
  uint64_t all = 0;
  for (const Vector& sum : sums) all ^= sum[0] ^ sum[1];
  return all;
}

// Much more than any cache holds, cut as the kernels cut weights.
double measure_read(ThreadPool& pool) {
  constexpr int64_t kBytes = int64_t{256} << 20;
  constexpr int64_t kPiece = 128 * 1024;
  const AlignedBytes memory = allocate_aligned(kBytes);
  pool.parallel_for(kBytes, kPiece, [&](int64_t begin, int64_t end) {
    std::memset(memory.get() + begin, 1, static_cast<size_t>(end - begin));
  });
  double best = 0;
  std::atomic<uint64_t> used = 0;
  for (int i = 0; i < 5; ++i) {
    const double seconds = seconds_of([&] {
      pool.parallel_for(kBytes, kPiece, [&](int64_t begin, int64_t end) {
        used.fetch_xor(read_all(memory.get() + begin, end - begin), std::memory_order_relaxed);
      });
    });
    best = std::max(best, static_cast<double>(kBytes) / seconds);
  }
  return best;
}

double measure_arithmetic(ThreadPool& pool, int64_t (*burn)(int64_t)) {
  constexpr int64_t kIterations = 20000;
  constexpr int64_t kPieces = 16;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    std::atomic<int64_t> done = 0;
    const double seconds = seconds_of([&] {
      pool.parallel_for(kPieces * pool.size(), 1, [&](int64_t, int64_t) {
        done.fetch_add(burn(kIterations), std::memory_order_relaxed);
      });
    });
    best = std::max(best, static_cast<double>(done.load()) / seconds);
  }
  return best;
}

}  // namespace

MachineLimits measure_machine_limits(ThreadPool& pool) {
  MachineLimits limits;
  limits.read_bytes_per_second = measure_read(pool);
  if (const VectorOps* ops = best_ops()) {
    limits.int8_ops_per_second = measure_arithmetic(pool, ops->burn_codes);
    limits.float_ops_per_second = measure_arithmetic(pool, ops->burn_floats);
  }
  return limits;
}

}  // namespace fathom
