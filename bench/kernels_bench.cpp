// Matrix products and attention of real shapes, with random weights. Prints the machine's limits
// first; a product's GB/s (weights read) compares with its read bandwidth when rows are few, and
// its GOPS with its INT8 peak when they are many.
//   build/bench/kernels_bench --benchmark_filter='matmul/1.5B.*Q4_0' --benchmark_repetitions=5
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/machine_limits.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

Kernels& kernels() {
  // FATHOM_BENCH_THREADS limits the threads.
  static const char* threads = std::getenv("FATHOM_BENCH_THREADS");
  static const std::unique_ptr<Kernels> all =
      Kernels::make(KernelChoice::kAuto, threads == nullptr ? 0 : std::atoi(threads));
  return *all;
}

std::vector<float> random_floats(int64_t n) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = normal(random);
  return values;
}

// Any bytes are codes; scales stay small because no half's exponent exceeds 0x3b, and no float is
// denormal, which would take some processors a hundred times as long.
std::vector<std::byte> random_weights(DType dtype, int64_t elements) {
  std::vector<std::byte> bytes(static_cast<size_t>(byte_size(dtype, elements)));
  std::mt19937 random(2);
  for (std::byte& b : bytes) b = static_cast<std::byte>((random() & 0x3bU) | 0x20U);
  return bytes;
}

struct MatmulShape {
  const char* name;
  int64_t out, in;
};
constexpr MatmulShape kShapes[] = {
    {"135M", 1536, 576},  {"135M", 576, 1536},   {"1.5B", 8960, 1536},
    {"1.5B", 1536, 8960}, {"6.7B", 11008, 4096}, {"6.7B", 4096, 11008},
};

// A view of the bytes, which must outlive it.
Tensor matrix_of(const std::vector<std::byte>& bytes, DType dtype, MatmulShape shape) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = Shape{shape.out, shape.in};
  tensor.data = bytes.data();
  tensor.bytes = static_cast<int64_t>(bytes.size());
  return tensor;
}

// Enough copies of the matrix that none is in a cache when its turn comes, as in a model.
void matmul(benchmark::State& state, DType dtype, MatmulShape shape, int64_t rows) {
  const std::vector<std::byte> bytes = random_weights(dtype, shape.out * shape.in);
  const Tensor tensor = matrix_of(bytes, dtype, shape);
  const int64_t wanted = rows <= 16 ? int64_t{160} << 20 : 1;
  std::vector<PackedMatrix> copies;
  for (int64_t held = 0; held < wanted; held += copies.back().bytes) {
    copies.push_back(kernels().pack(tensor));
  }
  const std::vector<float> x = random_floats(rows * shape.in);
  std::vector<float> y(static_cast<size_t>(rows * shape.out));
  size_t next = 0;
  for (auto _ : state) {
    const MatmulJob job{&copies[next], x.data(), shape.in, nullptr, rows, y.data(), shape.out};
    kernels().matmul({&job, 1});
    next = (next + 1) % copies.size();
  }
  const auto runs = static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(runs * static_cast<double>(copies[0].bytes) / 1e9,
                                              benchmark::Counter::kIsRate);
  state.counters["GOPS"] = benchmark::Counter(
      runs * 2e-9 * static_cast<double>(rows * shape.out * shape.in), benchmark::Counter::kIsRate);
}

// Packing as it happens while a model loads: GB/s of stored bytes.
void pack(benchmark::State& state, DType dtype, MatmulShape shape) {
  const std::vector<std::byte> bytes = random_weights(dtype, shape.out * shape.in);
  const Tensor tensor = matrix_of(bytes, dtype, shape);
  for (auto _ : state) benchmark::DoNotOptimize(kernels().pack(tensor).data.get());
  state.counters["GB/s"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(bytes.size()) / 1e9,
      benchmark::Counter::kIsRate);
}

// One layer's attention of `sequences` sequences that hold `length` tokens, the last `rows` new.
void attention(benchmark::State& state, AttentionShape shape, bool latent, int64_t sequences,
               int64_t length, int64_t rows, CacheType type) {
  constexpr int64_t kPage = 32;
  CacheView cache;
  cache.page_tokens = kPage;
  cache.key_width = shape.kv_heads * shape.key_dim;
  cache.value_width = latent ? 0 : shape.kv_heads * shape.value_dim;
  cache.values_in_keys = latent;
  cache.type = type;
  cache.kv_heads = shape.kv_heads;
  cache.key_split = latent ? shape.value_dim : 0;
  cache.page_bytes = cache_page_bytes(cache);
  const int64_t row_bytes = cache.page_bytes / kPage;
  const int64_t pages = (length + kPage - 1) / kPage;
  std::vector<std::byte> memory(static_cast<size_t>(sequences * pages * cache.page_bytes));
  std::mt19937 random(3);
  for (std::byte& b : memory) b = static_cast<std::byte>(random() & 0x3bU);
  cache.base = memory.data();
  std::vector<int32_t> table;
  for (int64_t p = 0; p < sequences * pages; ++p) table.push_back(static_cast<int32_t>(p));
  const int64_t q_width = shape.heads * shape.key_dim;
  const int64_t out_width = shape.heads * shape.value_dim;
  const std::vector<float> q = random_floats(sequences * rows * q_width);
  std::vector<float> out(static_cast<size_t>(sequences * rows * out_width));
  std::vector<AttentionSequence> batch;
  for (int64_t s = 0; s < sequences; ++s) {
    batch.push_back({q.data() + s * rows * q_width, q_width, out.data() + s * rows * out_width,
                     out_width, rows, length, table.data() + s * pages});
  }
  for (auto _ : state) kernels().attention(shape, cache, batch);
  const auto runs = static_cast<double>(state.iterations() * sequences);
  const auto seen = static_cast<double>(rows * (length - rows) + rows * (rows + 1) / 2);
  state.counters["GB/s"] = benchmark::Counter(runs * static_cast<double>(length * row_bytes) / 1e9,
                                              benchmark::Counter::kIsRate);
  state.counters["GFLOPS"] = benchmark::Counter(
      runs * 2e-9 * seen * static_cast<double>(shape.heads * (shape.key_dim + shape.value_dim)),
      benchmark::Counter::kIsRate);
}

void register_all() {
  for (DType dtype :
       {DType::kQ4_0, DType::kQ4_1, DType::kQ8_0, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K,
        DType::kQ5_K, DType::kQ6_K, DType::kF16, DType::kBF16, DType::kF32, DType::kF8E4M3,
        DType::kI4_64, DType::kI4_128, DType::kI4Z_128, DType::kI8_128, DType::kI8Row}) {
    for (const MatmulShape& shape : kShapes) {
      if (shape.in % info(dtype).block_elements != 0) continue;
      benchmark::RegisterBenchmark(
          fmt::format("pack/{}/{}x{}/{}", shape.name, shape.out, shape.in, name(dtype)).c_str(),
          pack, dtype, shape)
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
      for (int64_t rows : {1, 4, 16, 64, 256}) {
        benchmark::RegisterBenchmark(
            fmt::format("matmul/{}/{}x{}/{}/{}", shape.name, shape.out, shape.in, name(dtype), rows)
                .c_str(),
            matmul, dtype, shape, rows)
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
  struct Kind {
    const char* name;
    AttentionShape shape;
    bool latent;
  };
  const Kind kinds[] = {{"135M", {9, 3, 64, 64, 0.125F}, false},
                        {"1.5B", {12, 2, 128, 128, 0.088F}, false},
                        {"6.7B", {32, 32, 128, 128, 0.088F}, false},
                        {"V2-Lite", {16, 1, 576, 512, 0.07F}, true}};
  const auto add = [](const std::string& name, const Kind& kind, int64_t sequences, int64_t length,
                      int64_t rows, CacheType type) {
    benchmark::RegisterBenchmark(fmt::format("{}/{}", name, fathom::name(type)).c_str(), attention,
                                 kind.shape, kind.latent, sequences, length, rows, type)
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  };
  for (const CacheType type : {CacheType::kF16, CacheType::kBF16, CacheType::kInt8}) {
    for (const Kind& kind : kinds) {
      for (int64_t length : {128, 1024, 4096}) {
        add(fmt::format("decode/{}/1x{}", kind.name, length), kind, 1, length, 1, type);
      }
      add(fmt::format("decode/{}/16x1024", kind.name), kind, 16, 1024, 1, type);
      for (int64_t length : {256, 2048}) {
        add(fmt::format("prefill/{}/{}", kind.name, length), kind, 1, length, 256, type);
      }
    }
  }
}

}  // namespace
}  // namespace fathom

int main(int argc, char** argv) {
  fathom::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const auto limits = fathom::measure_machine_limits(fathom::kernels().threads());
  fmt::print("{}, {} threads: reads {:.1f} GB/s, INT8 {:.0f} GOPS, F32 {:.0f} GFLOPS\n",
             fathom::kernels().name(), fathom::kernels().threads().size(),
             limits.read_bytes_per_second / 1e9, limits.int8_ops_per_second / 1e9,
             limits.float_ops_per_second / 1e9);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
