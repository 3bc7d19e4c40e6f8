#include "cli/speed_test.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <span>

#include "base/median.h"

namespace fathom::cli {
namespace {

// Enough to touch all weights (of an MoE model nearly all) without costing a large model another
// whole prompt.
constexpr int64_t kWarmUpTokens = 64;
// Runs are not repeated once they took this long together: long ones vary little.
constexpr double kLongEnoughSeconds = 5;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Of at most `repeats` runs.
template <typename Run>
double median_seconds(int repeats, const Run& run) {
  std::vector<double> seconds;
  double spent = 0;
  while (std::ssize(seconds) < repeats && spent < kLongEnoughSeconds) {
    const auto start = Clock::now();
    run();
    seconds.push_back(seconds_since(start));
    spent += seconds.back();
  }
  return median(seconds);
}

int64_t pages_for(int64_t tokens) {
  return (tokens + CachePool::kPageTokens - 1) / CachePool::kPageTokens;
}

}  // namespace

std::vector<int32_t> SpeedTest::some_tokens(int64_t count) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  const auto vocab = static_cast<uint64_t>(model_.config().vocab_size);
  for (auto& token : tokens) token = static_cast<int32_t>(random_() % vocab);
  return tokens;
}

void SpeedTest::fill(Sequence& sequence, int64_t tokens, BatchSequence::Logits logits,
                     CachePool& pool) {
  const auto text = some_tokens(tokens);
  const auto chunk = static_cast<size_t>(model_.max_batch_tokens());
  for (std::span<const int32_t> rest = text; !rest.empty();) {
    const auto part = rest.first(std::min(chunk, rest.size()));
    rest = rest.subspan(part.size());
    Batch batch;
    batch.sequences.push_back({.tokens = part,
                               .position = sequence.length,
                               .pages = sequence.pages,
                               .logits = rest.empty() ? logits : BatchSequence::Logits::kNone});
    model_.forward(batch, pool);
    sequence.length += static_cast<int64_t>(part.size());
  }
}

// Prefill would take long for many deep sequences, and what the cache holds does not matter. Every
// sequence has pages of its own all the same, as in use.
void SpeedTest::copy_cache(const Sequence& from, Sequence& to, CachePool& pool) {
  const auto pages = static_cast<size_t>(pages_for(from.length));
  for (size_t p = 0; p < pages; ++p) pool.copy_page(from.pages[p], to.pages[p]);
  to.length = from.length;
}

double SpeedTest::step(std::vector<Sequence>& sequences, CachePool& pool, Adapters adapters) {
  const auto tokens = some_tokens(static_cast<int64_t>(sequences.size()));
  Batch batch;
  batch.sequences.reserve(sequences.size());
  for (size_t i = 0; i < sequences.size(); ++i) {
    batch.sequences.push_back(
        {.tokens = std::span(tokens).subspan(i, 1),
         .position = sequences[i].length,
         .pages = sequences[i].pages,
         .logits = BatchSequence::Logits::kLast,
         .adapter = adapters.empty() ? nullptr : adapters[i % adapters.size()].get()});
    ++sequences[i].length;
  }
  const auto start = Clock::now();
  model_.forward(batch, pool);
  return seconds_since(start);
}

Result<double> SpeedTest::prefill(int64_t tokens, int repeats) {
  FATHOM_TRY(CachePool pool, CachePool::make(model_.cache_layout(), pages_for(tokens)));
  std::vector<int32_t> pages(static_cast<size_t>(pool.pages()));
  std::iota(pages.begin(), pages.end(), 0);
  Sequence warm_up{pages};
  fill(warm_up, std::min(tokens, kWarmUpTokens), BatchSequence::Logits::kLast, pool);
  const double seconds = median_seconds(repeats, [&] {
    Sequence sequence{pages};
    fill(sequence, tokens, BatchSequence::Logits::kLast, pool);
  });
  return static_cast<double>(tokens) / seconds;
}

Result<CachePool> SpeedTest::prepare(std::vector<Sequence>& sequences, int64_t steps,
                                     int64_t depth) {
  const int64_t pages_each = pages_for(depth + steps);
  FATHOM_TRY(CachePool pool,
             CachePool::make(model_.cache_layout(), std::ssize(sequences) * pages_each));
  int32_t next_page = 0;
  for (auto& sequence : sequences) {
    sequence.pages.resize(static_cast<size_t>(pages_each));
    for (auto& page : sequence.pages) page = next_page++;
  }
  fill(sequences[0], depth, BatchSequence::Logits::kNone, pool);
  for (size_t i = 1; i < sequences.size(); ++i) copy_cache(sequences[0], sequences[i], pool);
  return pool;
}

Result<double> SpeedTest::decode(int64_t steps, int64_t batch, int64_t depth, int repeats) {
  std::vector<Sequence> sequences(static_cast<size_t>(batch));
  FATHOM_TRY(CachePool pool, prepare(sequences, 1 + steps, depth));
  step(sequences, pool);  // warms up
  const double seconds = median_seconds(repeats, [&] {
    for (auto& sequence : sequences) sequence.length = depth + 1;
    for (int64_t i = 0; i < steps; ++i) step(sequences, pool);
  });
  return static_cast<double>(steps * batch) / seconds;
}

Result<SpeedTest::Adapted> SpeedTest::decode_adapted(int64_t steps, int64_t batch, int64_t depth,
                                                     Adapters adapters) {
  std::vector<Sequence> sequences(static_cast<size_t>(batch));
  FATHOM_TRY(CachePool pool, prepare(sequences, 2 * (1 + steps), depth));
  double without = 0;
  double with = 0;
  for (int64_t i = 0; i <= steps; ++i) {
    const double plain = step(sequences, pool);
    const double adapted = step(sequences, pool, adapters);
    if (i == 0) continue;  // warmed up
    without += plain;
    with += adapted;
  }
  const auto tokens = static_cast<double>(steps * batch);
  return Adapted{.without = tokens / without, .with = tokens / with};
}

}  // namespace fathom::cli
