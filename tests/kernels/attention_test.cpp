// Attention and the cache against a plain softmax in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/kernels_under_test.h"
#include "kernels/reference/reference_kernels.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

using testing::random_floats;

// What the cache makes of a part of a row that has one scale, by the words of CacheType.
void round_part(CacheType type, float* x, int64_t n) {
  if (type == CacheType::kInt8) {
    float most = 0;
    for (int64_t i = 0; i < n; ++i) most = std::max(most, std::abs(x[i]));
    if (most < kLeastCachedRow) {
      std::fill_n(x, n, 0.0F);
      return;
    }
    const float scale = most / 127;
    for (int64_t i = 0; i < n; ++i) x[i] = std::nearbyint(x[i] * (127 / most)) * scale;
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    if (type == CacheType::kF16) x[i] = half_to_float(float_to_half(x[i]));
    if (type == CacheType::kBF16) x[i] = bfloat16_to_float(float_to_bfloat16(x[i]));
  }
}

void round_to_bf16(float* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] = bfloat16_to_float(float_to_bfloat16(x[i]));
}

// Where products over a latent cache are of BF16 (kernels/bf16): those of whole vectors.
bool multiplies_bf16(const Kernels& kernels, const AttentionShape& shape, bool values_in_keys) {
  return kernels.name() == "avx512-bf16" && values_in_keys && shape.key_dim % 32 == 0 &&
         shape.value_dim % 32 == 0;
}

// Sequences in a paged cache whose pages are dealt out in a scrambled order.
class PagedCache {
 public:
  PagedCache(Kernels& kernels, CacheType type, const AttentionShape& shape, bool values_in_keys,
             int64_t page_tokens, const std::vector<int64_t>& lengths, uint32_t seed)
      : shape_(shape),
        lengths_(lengths),
        bf16_products_(multiplies_bf16(kernels, shape, values_in_keys)) {
    view_.type = type;
    view_.kv_heads = shape.kv_heads;
    view_.key_split = values_in_keys ? shape.value_dim : 0;
    view_.page_tokens = page_tokens;
    view_.key_width = shape.kv_heads * shape.key_dim;
    view_.value_width = values_in_keys ? 0 : shape.kv_heads * shape.value_dim;
    view_.values_in_keys = values_in_keys;
    view_.page_bytes = cache_page_bytes(view_) + 61;  // unaligned where elements allow it
    if (type != CacheType::kInt8) view_.page_bytes += 3;
    int64_t pages = 1;
    for (int64_t length : lengths) pages += (length + page_tokens - 1) / page_tokens;
    memory_.assign(static_cast<size_t>(pages * view_.page_bytes), std::byte{0xff});  // NaN
    view_.base = memory_.data();

    int32_t next = static_cast<int32_t>(pages) - 1;
    for (size_t s = 0; s < lengths.size(); ++s) {
      auto& table = tables_.emplace_back();
      for (int64_t t = 0; t < lengths[s]; t += page_tokens) table.push_back(next--);
      if (s % 2 == 1) std::reverse(table.begin(), table.end());
      keys_.push_back(
          random_floats(lengths[s] * view_.key_width, seed + 2 * static_cast<uint32_t>(s)));
      values_.push_back(
          random_floats(lengths[s] * view_.value_width, seed + 2 * static_cast<uint32_t>(s) + 1));
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
      round_rows(keys_.back(), shape.key_dim, view_.key_split);
      round_rows(values_.back(), shape.value_dim, 0);
    }
  }

  const CacheView& view() const { return view_; }
  // What a result may differ from expected() by: F32's rounding, or that of weights to BF16.
  double tolerance() const { return bf16_products_ ? 3e-3 : 2e-5; }
  const int32_t* pages(size_t s) const { return tables_[s].data(); }

  // One row of one head.
  std::vector<double> expected(size_t s, const float* q, int64_t head, int64_t visible) const {
    const int64_t kv = head / (shape_.heads / shape_.kv_heads);
    std::vector<double> scores;
    double largest = -INFINITY;
    std::vector<float> scaled(q, q + shape_.key_dim);
    for (float& x : scaled) x *= shape_.scale;
    if (bf16_products_) round_to_bf16(scaled.data(), shape_.key_dim);
    for (int64_t t = 0; t < visible; ++t) {
      const float* k = keys_[s].data() + t * view_.key_width + kv * shape_.key_dim;
      double score = 0;
      for (int64_t d = 0; d < shape_.key_dim; ++d) {
        score += static_cast<double>(scaled[static_cast<size_t>(d)]) * static_cast<double>(k[d]);
      }
      scores.push_back(score);
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
  void round_rows(std::vector<float>& rows, int64_t dim, int64_t split) const {
    const int64_t first = split > 0 ? split : dim;
    for (int64_t at = 0; at < std::ssize(rows); at += dim) {
      round_part(view_.type, rows.data() + at, first);
      round_part(view_.type, rows.data() + at + first, dim - first);
    }
    if (bf16_products_) round_to_bf16(rows.data(), std::ssize(rows));
  }

  AttentionShape shape_;
  std::vector<int64_t> lengths_;
  bool bf16_products_;
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

void expect_plain_softmax(Kernels& kernels, CacheType type, const AttentionShape& shape,
                          bool values_in_keys, int64_t page_tokens, const Rows& batch) {
  const PagedCache cache(kernels, type, shape, values_in_keys, page_tokens, batch.length, 100);
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
          ASSERT_NEAR(static_cast<double>(got[d]), expected[d], cache.tolerance())
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
  for (const VectorOps* ops : testing::attention_sets()) {
    all.push_back(testing::make_kernels(*ops, threads));
  }
  return all;
}

struct Tested {
  size_t kernels;  // of all_kernels()
  CacheType type;
};

std::vector<Tested> all_tested() {
  std::vector<Tested> all = {{0, CacheType::kF32}};
  for (size_t i = 0; i < all_kernels(1).size(); ++i) {
    for (const CacheType type : {CacheType::kF16, CacheType::kBF16, CacheType::kInt8}) {
      all.push_back({i, type});
    }
  }
  return all;
}

std::string name_of(const Tested& tested) {
  std::string name(all_kernels(1)[tested.kernels]->name());
  for (char& c : name) c = std::isalnum(c) != 0 ? c : '_';
  return name + "_" + std::string(fathom::name(tested.type));
}

// A prompt at once and in parts of itself, with other numbers of threads.
void expect_same_in_parts(const Tested& tested, const AttentionShape& shape, bool values_in_keys) {
  const auto first = std::move(all_kernels(2)[tested.kernels]);
  const Rows whole = {{1100}, {1100}};
  const PagedCache cache(*first, tested.type, shape, values_in_keys, 32, whole.length, 7);
  const auto q = queries(shape, whole, 8);
  const auto all = run(*first, shape, cache, whole, q);
  const int64_t q_width = shape.heads * shape.key_dim;
  const int64_t width = shape.heads * shape.value_dim;
  for (int threads : {1, 2, 16}) {
    auto kernels = std::move(all_kernels(threads)[tested.kernels]);
    for (const auto& [length, rows] : {std::pair<int64_t, int64_t>{1100, 1},
                                       {1100, 7},
                                       {1024, 1},
                                       {1025, 1},
                                       {513, 100},
                                       {17, 3},
                                       {1, 1}}) {
      const Rows part = {{length}, {rows}};
      const std::vector<std::vector<float>> some = {
          {q[0].begin() + (length - rows) * q_width, q[0].begin() + length * q_width}};
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

class Attention : public ::testing::TestWithParam<Tested> {
 protected:
  void SetUp() override {
    auto all = all_kernels(2);
    kernels_ = std::move(all[GetParam().kernels]);
    type_ = GetParam().type;
  }
  std::unique_ptr<Kernels> kernels_;
  CacheType type_{};
};
INSTANTIATE_TEST_SUITE_P(Kernels, Attention, ::testing::ValuesIn(all_tested()),
                         [](const auto& i) { return name_of(i.param); });

TEST_P(Attention, DecodesRaggedSequencesForEveryGroupRatio) {
  const Rows batch = {{1, 2, 31, 32, 33, 64, 200}, {1, 1, 1, 1, 1, 1, 1}};
  for (int64_t kv_heads : {1, 2, 3, 6, 12}) {
    expect_plain_softmax(*kernels_, type_, shape_of(12, kv_heads, 64, 64), false, 32, batch);
  }
}

TEST_P(Attention, PrefillsWithACausalMaskWholePromptsAndChunks) {
  const Rows batch = {{1, 5, 70, 100, 130}, {1, 5, 70, 37, 2}};
  expect_plain_softmax(*kernels_, type_, shape_of(9, 3, 64, 64), false, 32, batch);
  expect_plain_softmax(*kernels_, type_, shape_of(4, 4, 128, 128), false, 32, batch);
}

TEST_P(Attention, HeadsOfAnyWidthAndPagesOfAnySize) {
  const Rows batch = {{3, 50, 97}, {3, 1, 33}};
  for (int64_t page_tokens : {1, 5, 16, 64}) {
    expect_plain_softmax(*kernels_, type_, shape_of(4, 2, 20, 12), false, page_tokens, batch);
    expect_plain_softmax(*kernels_, type_, shape_of(2, 1, 80, 48), false, page_tokens, batch);
    expect_plain_softmax(*kernels_, type_, shape_of(3, 1, 7, 3), false, page_tokens, batch);
  }
}

TEST_P(Attention, LatentValuesAreTheStartOfTheKeys) {
  const Rows batch = {{1, 45, 90}, {1, 1, 20}};
  expect_plain_softmax(*kernels_, type_, shape_of(16, 1, 576, 512), true, 32, batch);
  expect_plain_softmax(*kernels_, type_, shape_of(40, 1, 72, 50), true, 16, batch);
  expect_plain_softmax(*kernels_, type_, shape_of(7, 1, 96, 96), true, 5, batch);
  expect_plain_softmax(*kernels_, type_, shape_of(128, 1, 160, 128), true, 64, {{600}, {2}});
}

TEST_P(Attention, LongCachesOfOneSequence) {
  expect_plain_softmax(*kernels_, type_, shape_of(2, 1, 32, 32), false, 32, {{1500}, {1}});
  expect_plain_softmax(*kernels_, type_, shape_of(2, 1, 32, 32), false, 32, {{1500}, {600}});
  expect_plain_softmax(*kernels_, type_, shape_of(2, 2, 16, 16), false, 32, {{1024, 513}, {1, 3}});
}

TEST_P(Attention, ATokensResultDoesNotDependOnChunksBatchOrThreads) {
  expect_same_in_parts(GetParam(), shape_of(6, 2, 64, 64), false);
}

TEST_P(Attention, ATokensResultFromALatentCacheDoesNotDependOnThemEither) {
  expect_same_in_parts(GetParam(), shape_of(6, 1, 96, 64), true);
}

TEST_P(Attention, LargeScoresNeitherOverflowNorVanish) {
  AttentionShape shape = shape_of(2, 1, 64, 64);
  shape.scale = 30.0F;
  const Rows batch = {{100, 700}, {1, 3}};
  const PagedCache cache(*kernels_, type_, shape, false, 32, batch.length, 3);
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

// Rows of every kind that a cache may be given, one after the other.
std::vector<float> awkward_rows(int64_t width, bool with_nan) {
  constexpr float kMost = std::numeric_limits<float>::max();
  constexpr float kLeast = std::numeric_limits<float>::denorm_min();
  std::vector<float> rows;
  const auto add = [&](auto element) {
    for (int64_t i = 0; i < width; ++i) rows.push_back(element(i));
  };
  const auto random = random_floats(3 * width, 77);
  add([&](int64_t i) { return random[static_cast<size_t>(i)]; });
  add([&](int64_t i) { return random[static_cast<size_t>(width + i)] * 1e-4F; });
  add([&](int64_t i) { return random[static_cast<size_t>(2 * width + i)] * 3e4F; });
  add([](int64_t) { return 0.0F; });
  add([](int64_t) { return -0.0F; });
  add([](int64_t) { return 2.5F; });
  add([](int64_t i) { return i % 2 == 0 ? -1.0F : 1.0F; });
  add([](int64_t i) { return static_cast<float>(i % 255) - 127; });  // many ties
  add([](int64_t i) { return (static_cast<float>(i % 5) + 0.5F) / 127; });
  add([&](int64_t i) { return kLeast * static_cast<float>(i % 7); });
  add([](int64_t i) { return i == 3 ? kLeastCachedRow : 0.0F; });
  add([](int64_t i) { return i == 3 ? kLeastCachedRow * 0.99F : 0.0F; });
  add([&](int64_t i) { return i % 3 == 0 ? kMost : -kMost / static_cast<float>(i + 1); });
  add([&](int64_t i) { return i == width - 1 ? INFINITY : 1.0F; });
  if (with_nan) add([&](int64_t i) { return i == width - 1 ? NAN : 1.0F; });
  if (with_nan) add([](int64_t i) { return i == 0 ? NAN : 5.0F; });
  return rows;
}

TEST_P(Attention, CachedRowsAreWhatTheReferenceStores) {
  if (type_ == CacheType::kF32) GTEST_SKIP() << "the reference kernels' own type";
  ReferenceKernels reference(1);
  for (const auto& [heads, key_dim, split, value_dim] : {std::array<int64_t, 4>{1, 576, 512, 0},
                                                         {1, 40, 24, 0},
                                                         {3, 64, 0, 64},
                                                         {2, 7, 0, 5},
                                                         {1, 33, 0, 31},
                                                         {5, 128, 0, 100}}) {
    CacheView view;
    view.type = type_;
    view.page_tokens = 3;
    view.kv_heads = heads;
    view.key_width = heads * key_dim;
    view.value_width = heads * value_dim;
    view.values_in_keys = value_dim == 0;
    view.key_split = split;
    view.page_bytes = cache_page_bytes(view);
    std::vector<std::vector<std::byte>> memory;
    for (Kernels* kernels : {kernels_.get(), static_cast<Kernels*>(&reference)}) {
      for (const CachePart part : {CachePart::kKey, CachePart::kValue}) {
        const int64_t width = part == CachePart::kKey ? view.key_width : view.value_width;
        if (width == 0) continue;
        // A half's NaN keeps its payload in some instruction sets.
        const auto rows = awkward_rows(width, type_ != CacheType::kF16);
        std::vector<CacheSlot> slots;
        for (int32_t r = 0; r < std::ssize(rows) / width; ++r) slots.push_back({r / 3, r % 3});
        auto& held = memory.emplace_back(slots.size() * static_cast<size_t>(view.page_bytes),
                                         std::byte{0x55});
        view.base = held.data();
        kernels->store_cache(view, part, rows.data(), width, slots);
      }
    }
    const size_t half = memory.size() / 2;
    for (size_t i = 0; i < half; ++i) {
      EXPECT_EQ(memory[i], memory[half + i]) << heads << " x " << key_dim << ", part " << i;
    }
  }
}

TEST_P(Attention, ARowOfZerosWeighsAsMuchAsAnyOtherOfScoreZero) {
  const AttentionShape shape = shape_of(2, 1, 24, 8);
  CacheView view;
  view.type = type_;
  view.page_tokens = 4;
  view.key_width = 24;
  view.value_width = 8;
  view.page_bytes = cache_page_bytes(view);
  std::vector<std::byte> memory(static_cast<size_t>(view.page_bytes), std::byte{0xff});
  view.base = memory.data();
  const std::vector<CacheSlot> slots = {{0, 0}, {0, 1}, {0, 2}, {0, 3}};
  std::vector<float> keys(4 * 24, 0.0F);
  std::vector<float> values(4 * 8, 0.0F);
  std::fill_n(values.begin() + 8, 8, 4.0F);  // equal values, the other rows zero
  kernels_->store_cache(view, CachePart::kKey, keys.data(), 24, slots);
  kernels_->store_cache(view, CachePart::kValue, values.data(), 8, slots);
  const std::vector<float> q(2 * 24, 1.0F);
  std::vector<float> out(2 * 8, -1.0F);
  const int32_t page = 0;
  const AttentionSequence sequence = {q.data(), 48, out.data(), 16, 1, 4, &page};
  kernels_->attention(shape, view, {&sequence, 1});
  for (const float v : out) EXPECT_FLOAT_EQ(v, 1.0F);
}

TEST(CacheView, PagesHoldElementsAndOfInt8TheScales) {
  CacheView view;
  view.page_tokens = 32;
  view.kv_heads = 3;
  view.key_width = 3 * 64;
  view.value_width = 3 * 48;
  for (const auto& [type, bytes] :
       {std::pair{CacheType::kF32, 4}, {CacheType::kF16, 2}, {CacheType::kBF16, 2}}) {
    view.type = type;
    EXPECT_EQ(cache_page_bytes(view), 32 * 3 * (64 + 48) * bytes);
  }
  view.type = CacheType::kInt8;
  EXPECT_EQ(cache_page_bytes(view), 32 * 3 * (64 + 4 + 48 + 4));
  view = {.type = CacheType::kInt8,
          .page_tokens = 32,
          .key_width = 576,
          .values_in_keys = true,
          .key_split = 512};
  EXPECT_EQ(cache_page_bytes(view), 32 * (576 + 2 * 4));
}

}  // namespace
}  // namespace fathom
