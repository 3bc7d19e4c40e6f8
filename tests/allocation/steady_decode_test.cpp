// The promise that a steady decode loop takes no memory: once a model has seen its largest step,
// forward() and the sampler allocate nothing. Counts every call of the C library's allocation
// functions, which operator new ends in too, on all threads; so it is a binary of its own.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "models/model.h"

namespace {

std::atomic<bool> counting = false;
std::atomic<int64_t> allocations = 0;

void count() {
  if (counting.load(std::memory_order_relaxed)) allocations.fetch_add(1);
}

}  // namespace

// glibc's own names for what is replaced here.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* p, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  count();
  return __libc_malloc(size);
}
void* calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}
void* realloc(void* p, size_t size) {
  count();
  return __libc_realloc(p, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** p, size_t alignment, size_t size) {
  count();
  *p = __libc_memalign(alignment, size);
  return *p == nullptr ? ENOMEM : 0;
}
}

namespace fathom {
namespace {

namespace fs = std::filesystem;

TEST(Counting, SeesEveryKindOfAllocation) {
  const auto seen = [](auto allocate, auto release) {
    allocations = 0;
    counting = true;
    void* p = allocate();
    counting = false;
    release(p);
    return allocations.load();
  };
  constexpr auto kAlignment = std::align_val_t(64);
  EXPECT_EQ(seen([] { return std::malloc(10); }, std::free), 1);
  EXPECT_EQ(seen([] { return std::calloc(10, 10); }, std::free), 1);
  EXPECT_EQ(seen([] { return std::realloc(nullptr, 10); }, std::free), 1);
  EXPECT_EQ(seen([] { return std::aligned_alloc(64, 64); }, std::free), 1);
  EXPECT_EQ(seen([] { return ::operator new(10); }, [](void* p) { ::operator delete(p); }), 1);
  EXPECT_EQ(seen([] { return ::operator new(64, kAlignment); },
                 [](void* p) { ::operator delete(p, kAlignment); }),
            1);
}

class SteadyDecode : public ::testing::TestWithParam<std::string> {};

// Decodes with two sequences of different length, as a server would.
void decode(const std::string& name, KernelChoice choice, const SamplingOptions& options) {
  constexpr int32_t kPages = 16;
  constexpr int64_t kWarmUp = 20;
  constexpr int64_t kSteps = 40;
  const auto checkpoint = Checkpoint::open(fs::path(FATHOM_TEST_DATA) / "golden/models" / name);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  // Of several threads, one that gets its first piece of work late grows its own scratch late.
  const auto kernels = Kernels::make(choice, 1);
  const auto model = LanguageModel::load(**checkpoint, *kernels);
  ASSERT_TRUE(model) << model.error().message;
  auto cache = CachePool::make((*model)->cache_layout(), kPages);
  ASSERT_TRUE(cache) << cache.error().message;
  std::vector<int32_t> pages(kPages);
  std::iota(pages.begin(), pages.end(), 0);
  const std::span<const int32_t> all(pages);

  // Long enough that the prompt reaches more experts, and so needs more scratch, than any later
  // step.
  std::vector<int32_t> prompt(60);
  std::iota(prompt.begin(), prompt.end(), 1);
  Sampler samplers[] = {Sampler(options, prompt), Sampler(options, prompt)};
  std::array<std::vector<int32_t>, 2> tokens = {prompt, {1, 2}};
  std::array<int64_t, 2> position = {0, 0};
  Batch batch;
  const auto vocab = static_cast<size_t>((*model)->config().vocab_size);
  for (int64_t step = 0; step < kWarmUp + kSteps; ++step) {
    allocations = 0;
    counting = step >= kWarmUp;
    batch.sequences.clear();
    for (size_t s = 0; s < 2; ++s) {
      batch.sequences.push_back({tokens[s], position[s], all.subspan(s * kPages / 2, kPages / 2),
                                 BatchSequence::Logits::kLast});
      position[s] += static_cast<int64_t>(tokens[s].size());
    }
    const auto logits = (*model)->forward(batch, *cache);
    for (size_t s = 0; s < 2; ++s) {
      tokens[s].assign(1, samplers[s].sample(logits.subspan(s * vocab, vocab)));
    }
    counting = false;
    ASSERT_EQ(allocations, 0) << name << ", step " << step;
  }
}

TEST_P(SteadyDecode, AllocatesNothing) {
  SamplingOptions sampling;
  sampling.seed = 1;
  decode(GetParam(), KernelChoice::kAuto, sampling);
  decode(GetParam(), KernelChoice::kReference, sampling);
}

TEST_P(SteadyDecode, AllocatesNothingWithPenaltiesOrGreedily) {
  SamplingOptions penalties;
  penalties.seed = 1;
  penalties.repeat_penalty = 1.1F;
  penalties.presence_penalty = 0.5F;
  penalties.top_k = 0;
  decode(GetParam(), KernelChoice::kAuto, penalties);
  SamplingOptions greedy;
  greedy.temperature = 0;
  decode(GetParam(), KernelChoice::kAuto, greedy);
}

INSTANTIATE_TEST_SUITE_P(Models, SteadyDecode,
                         ::testing::Values("llama_gqa_tied", "qwen3", "deepseek_moe",
                                           "deepseek_v2_lite", "deepseek_v3"),
                         [](const auto& model) { return model.param; });

}  // namespace
}  // namespace fathom
