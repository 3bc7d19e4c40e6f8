// Attention and the cache against a plain softmax in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/kernels_under_test.h"
#include "kernels/reference/reference_kernels.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

using testing::random_floats;

// Sequences in a paged cache whose pages are dealt out in a scrambled order. Keys and values are
// halves, so that both cache types hold the same numbers.
class PagedCache {
 public:
  PagedCache(Kernels& kernels, const AttentionShape& shape, bool values_in_keys,
             int64_t page_tokens, const std::vector<int64_t>& lengths, uint32_t seed)
      : shape_(shape), lengths_(lengths) {
    view_.dtype = kernels.cache_dtype();
    view_.page_tokens = page_tokens;
    view_.key_width = shape.kv_heads * shape.key_dim;
    view_.value_width = values_in_keys ? 0 : shape.kv_heads * shape.value_dim;
    view_.values_in_keys = values_in_keys;
    const int64_t row_bytes = (view_.key_width + view_.value_width) * byte_size(view_.dtype, 1);
    view_.page_bytes = page_tokens * row_bytes + 64;
    int64_t pages = 1;
    for (int64_t length : lengths) pages += (length + page_tokens - 1) / page_tokens;
    memory_.assign(static_cast<size_t>(pages * view_.page_bytes), std::byte{0xff});  // NaN
    view_.base = memory_.data();

    int32_t next = static_cast<int32_t>(pages) - 1;
    for (size_t s = 0; s < lengths.size(); ++s) {
      auto& table = tables_.emplace_back();
      for (int64_t t = 0; t < lengths[s]; t += page_tokens) table.push_back(next--);
      if (s % 2 == 1) std::reverse(table.begin(), table.end());
      keys_.push_back(halves(lengths[s] * view_.key_width, seed + 2 * static_cast<uint32_t>(s)));
      values_.push_back(
          halves(lengths[s] * view_.value_width, seed + 2 * static_cast<uint32_t>(s) + 1));
      std::vector<CacheSlot> slots;
      for (int64_t t = 0; t < lengths[s]; ++t) {
        slots.push_back(
            {table[static_cast<size_t>(t / page_tokens)], static_cast<int32_t>(t % page_tokens)});
      }
      kernels.store_cache(view_, CachePart::kKey, keys_.back().data(), view_.key_width, slots);
      if (!values_in_keys) {
        kernels.store_cache(view_, CachePart::kValue, values_.back().data(), view_.value_width,
                            slots);
      }
    }
  }

  const CacheView& view() const { return view_; }
  const int32_t* pages(size_t s) const { return tables_[s].data(); }

  // One row of one head.
  std::vector<double> expected(size_t s, const float* q, int64_t head, int64_t visible) const {
    const int64_t kv = head / (shape_.heads / shape_.kv_heads);
    std::vector<double> scores;
    double largest = -INFINITY;
    for (int64_t t = 0; t < visible; ++t) {
      const float* k = keys_[s].data() + t * view_.key_width + kv * shape_.key_dim;
      double score = 0;
      for (int64_t d = 0; d < shape_.key_dim; ++d) {
        score += static_cast<double>(q[d]) * static_cast<double>(k[d]);
      }
      scores.push_back(score * static_cast<double>(shape_.scale));
      largest = std::max(largest, scores.back());
    }
    double total = 0;
    for (double& score : scores) total += score = std::exp(score - largest);
    std::vector<double> out(static_cast<size_t>(shape_.value_dim), 0.0);
    for (int64_t t = 0; t < visible; ++t) {
      const float* v = view_.values_in_keys
                           ? keys_[s].data() + t * view_.key_width + kv * shape_.key_dim
                           : values_[s].data() + t * view_.value_width + kv * shape_.value_dim;
      for (size_t d = 0; d < out.size(); ++d) {
        out[d] += scores[static_cast<size_t>(t)] / total * static_cast<double>(v[d]);
      }
    }
    return out;
  }

 private:
  static std::vector<float> halves(int64_t n, uint32_t seed) {
    std::vector<float> values = random_floats(n, seed);
    for (float& v : values) v = half_to_float(float_to_half(v));
    return values;
  }

  AttentionShape shape_;
  std::vector<int64_t> lengths_;
  CacheView view_;
  std::vector<std::byte> memory_;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<std::vector<float>> keys_, values_;
};

struct Rows {
  std::vector<int64_t> length, rows;
};

std::vector<std::vector<float>> run(Kernels& kernels, const AttentionShape& shape,
                                    const PagedCache& cache, const Rows& batch,
                                    const std::vector<std::vector<float>>& q) {
  std::vector<std::vector<float>> out;
  std::vector<AttentionSequence> sequences;
  const int64_t q_width = shape.heads * shape.key_dim;
  const int64_t out_width = shape.heads * shape.value_dim;
  for (size_t s = 0; s < batch.length.size(); ++s) {
    out.emplace_back(static_cast<size_t>(batch.rows[s] * (out_width + 5)), -3.0F);
  }
  for (size_t s = 0; s < batch.length.size(); ++s) {
    sequences.push_back({q[s].data(), q_width, out[s].data(), out_width + 5, batch.rows[s],
                         batch.length[s], cache.pages(s)});
  }
  kernels.attention(shape, cache.view(), sequences);
  for (size_t s = 0; s < batch.length.size(); ++s) {
    for (int64_t r = 0; r < batch.rows[s]; ++r) {
      EXPECT_EQ(out[s][static_cast<size_t>(r * (out_width + 5) + out_width)], -3.0F)
          << "wrote beyond its row";
    }
  }
  return out;
}

std::vector<std::vector<float>> queries(const AttentionShape& shape, const Rows& batch,
                                        uint32_t seed) {
  std::vector<std::vector<float>> q;
  for (int64_t rows : batch.rows) {
    q.push_back(random_floats(rows * shape.heads * shape.key_dim, seed++));
  }
  return q;
}

void expect_plain_softmax(Kernels& kernels, const AttentionShape& shape, bool values_in_keys,
                          int64_t page_tokens, const Rows& batch) {
  const PagedCache cache(kernels, shape, values_in_keys, page_tokens, batch.length, 100);
  const auto q = queries(shape, batch, 500);
  const auto out = run(kernels, shape, cache, batch, q);
  for (size_t s = 0; s < batch.length.size(); ++s) {
    for (int64_t r = 0; r < batch.rows[s]; ++r) {
      for (int64_t h = 0; h < shape.heads; ++h) {
        const float* row = q[s].data() + (r * shape.heads + h) * shape.key_dim;
        const auto expected = cache.expected(s, row, h, batch.length[s] - batch.rows[s] + r + 1);
        const float* got =
            out[s].data() + r * (shape.heads * shape.value_dim + 5) + h * shape.value_dim;
        for (size_t d = 0; d < expected.size(); ++d) {
          ASSERT_NEAR(static_cast<double>(got[d]), expected[d], 2e-5)
              << "sequence " << s << " row " << r << " head " << h << " element " << d;
        }
      }
    }
  }
}

AttentionShape shape_of(int64_t heads, int64_t kv_heads, int64_t key_dim, int64_t value_dim) {
  return {heads, kv_heads, key_dim, value_dim, 1.0F / std::sqrt(static_cast<float>(key_dim))};
}

std::vector<std::unique_ptr<Kernels>> all_kernels(int threads) {
  std::vector<std::unique_ptr<Kernels>> all;
  all.push_back(std::make_unique<ReferenceKernels>(threads));
  for (const VectorOps* ops : testing::instruction_sets()) {
    all.push_back(testing::make_kernels(*ops, threads));
  }
  return all;
}

class Attention : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    auto all = all_kernels(2);
    kernels_ = std::move(all[static_cast<size_t>(GetParam())]);
  }
  std::unique_ptr<Kernels> kernels_;
};
INSTANTIATE_TEST_SUITE_P(Kernels, Attention,
                         ::testing::Range(0, static_cast<int>(all_kernels(1).size())),
                         [](const auto& i) {
                           std::string name(all_kernels(1)[static_cast<size_t>(i.param)]->name());
                           for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
                           return name;
                         });

TEST_P(Attention, DecodesRaggedSequencesForEveryGroupRatio) {
  const Rows batch = {{1, 2, 31, 32, 33, 64, 200}, {1, 1, 1, 1, 1, 1, 1}};
  for (int64_t kv_heads : {1, 2, 3, 6, 12}) {
    expect_plain_softmax(*kernels_, shape_of(12, kv_heads, 64, 64), false, 32, batch);
  }
}

TEST_P(Attention, PrefillsWithACausalMaskWholePromptsAndChunks) {
  const Rows batch = {{1, 5, 70, 100, 130}, {1, 5, 70, 37, 2}};
  expect_plain_softmax(*kernels_, shape_of(9, 3, 64, 64), false, 32, batch);
  expect_plain_softmax(*kernels_, shape_of(4, 4, 128, 128), false, 32, batch);
}

TEST_P(Attention, HeadsOfAnyWidthAndPagesOfAnySize) {
  const Rows batch = {{3, 50, 97}, {3, 1, 33}};
  for (int64_t page_tokens : {1, 5, 16, 64}) {
    expect_plain_softmax(*kernels_, shape_of(4, 2, 20, 12), false, page_tokens, batch);
    expect_plain_softmax(*kernels_, shape_of(2, 1, 80, 48), false, page_tokens, batch);
    expect_plain_softmax(*kernels_, shape_of(3, 1, 7, 3), false, page_tokens, batch);
  }
}

TEST_P(Attention, LatentValuesAreTheStartOfTheKeys) {
  const Rows batch = {{1, 45, 90}, {1, 1, 20}};
  expect_plain_softmax(*kernels_, shape_of(16, 1, 576, 512), true, 32, batch);
  expect_plain_softmax(*kernels_, shape_of(40, 1, 72, 50), true, 16, batch);
}

TEST_P(Attention, LongCachesOfOneSequence) {
  expect_plain_softmax(*kernels_, shape_of(2, 1, 32, 32), false, 32, {{1500}, {1}});
  expect_plain_softmax(*kernels_, shape_of(2, 1, 32, 32), false, 32, {{1500}, {600}});
  expect_plain_softmax(*kernels_, shape_of(2, 2, 16, 16), false, 32, {{1024, 513}, {1, 3}});
}

TEST_P(Attention, ATokensResultDoesNotDependOnChunksBatchOrThreads) {
  const AttentionShape shape = shape_of(6, 2, 64, 64);
  const Rows whole = {{1100}, {1100}};
  const PagedCache cache(*kernels_, shape, false, 32, whole.length, 7);
  const auto q = queries(shape, whole, 8);
  const auto all = run(*kernels_, shape, cache, whole, q);
  const int64_t width = 6 * 64;
  for (int threads : {1, 2, 16}) {
    auto kernels = std::move(all_kernels(threads)[static_cast<size_t>(GetParam())]);
    for (const auto& [length, rows] : {std::pair<int64_t, int64_t>{1100, 1},
                                       {1100, 7},
                                       {1024, 1},
                                       {1025, 1},
                                       {513, 100},
                                       {17, 3},
                                       {1, 1}}) {
      const Rows part = {{length}, {rows}};
      const std::vector<std::vector<float>> some = {
          {q[0].begin() + (length - rows) * width, q[0].begin() + length * width}};
      const auto out = run(*kernels, shape, cache, part, some);
      for (int64_t r = 0; r < rows; ++r) {
        ASSERT_EQ(std::memcmp(out[0].data() + r * (width + 5),
                              all[0].data() + (length - rows + r) * (width + 5),
                              static_cast<size_t>(width) * sizeof(float)),
                  0)
            << length << " tokens, row " << r << " of " << rows << ", " << threads << " threads";
      }
    }
  }
}

TEST_P(Attention, LargeScoresNeitherOverflowNorVanish) {
  AttentionShape shape = shape_of(2, 1, 64, 64);
  shape.scale = 30.0F;
  const Rows batch = {{100, 700}, {1, 3}};
  const PagedCache cache(*kernels_, shape, false, 32, batch.length, 3);
  const auto q = queries(shape, batch, 4);
  const auto out = run(*kernels_, shape, cache, batch, q);
  for (size_t s = 0; s < 2; ++s) {
    const auto expected = cache.expected(s, q[s].data(), 0, batch.length[s] - batch.rows[s] + 1);
    for (size_t d = 0; d < 64; ++d) {
      // Scores of some thousands: a unit in their last place is a change of weights of 1e-3.
      ASSERT_NEAR(static_cast<double>(out[s][d]), expected[d], 5e-3);
    }
  }
}

}  // namespace
}  // namespace fathom
