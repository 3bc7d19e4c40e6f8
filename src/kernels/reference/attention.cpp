#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "kernels/reference/dot.h"
#include "kernels/reference/reference_kernels.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

const float* key_row(const CacheView& cache, const int32_t* pages, int64_t token) {
  const std::byte* page = cache.base + pages[token / cache.page_tokens] * cache.page_bytes;
  return reinterpret_cast<const float*>(page) + token % cache.page_tokens * cache.key_width;
}

const float* value_row(const CacheView& cache, const int32_t* pages, int64_t token) {
  if (cache.values_in_keys) return key_row(cache, pages, token);
  const std::byte* page = cache.base + pages[token / cache.page_tokens] * cache.page_bytes;
  return reinterpret_cast<const float*>(page) + cache.page_tokens * cache.key_width +
         token % cache.page_tokens * cache.value_width;
}

// One head of one new token.
void attend(const AttentionShape& shape, const CacheView& cache, const AttentionSequence& sequence,
            int64_t row, int64_t head, std::vector<float>& scores) {
  const int64_t visible = sequence.length - sequence.rows + row + 1;
  const int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const float* q = sequence.q + row * sequence.q_stride + head * shape.key_dim;
  scores.resize(std::max(scores.size(), static_cast<size_t>(visible)));

  float largest = -INFINITY;
  for (int64_t t = 0; t < visible; ++t) {
    const float* k = key_row(cache, sequence.pages, t) + kv_head * shape.key_dim;
    const float score = reference::dot(q, k, shape.key_dim) * shape.scale;
    scores[static_cast<size_t>(t)] = score;
    largest = std::max(largest, score);
  }
  double total = 0;
  for (int64_t t = 0; t < visible; ++t) {
    float& score = scores[static_cast<size_t>(t)];
    score = std::exp(score - largest);
    total += static_cast<double>(score);
  }
  const auto inverse = static_cast<float>(1.0 / total);

  float* out = sequence.out + row * sequence.out_stride + head * shape.value_dim;
  std::fill_n(out, shape.value_dim, 0.0F);
  for (int64_t t = 0; t < visible; ++t) {
    const float* v = value_row(cache, sequence.pages, t) + kv_head * shape.value_dim;
    const float weight = scores[static_cast<size_t>(t)] * inverse;
    for (int64_t d = 0; d < shape.value_dim; ++d) out[d] += weight * v[d];
  }
}

}  // namespace

void ReferenceKernels::attention(const AttentionShape& shape, const CacheView& cache,
                                 std::span<const AttentionSequence> sequences) {
  FATHOM_ASSERT(cache.dtype == DType::kF32);
  FATHOM_ASSERT(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0);
  first_piece_.assign(1, 0);
  for (const AttentionSequence& sequence : sequences) {
    first_piece_.push_back(first_piece_.back() + sequence.rows * shape.heads);
  }
  pool_.parallel_for(first_piece_.back(), 1, [&](int thread, int64_t piece, int64_t /*end*/) {
    const auto after = std::upper_bound(first_piece_.begin(), first_piece_.end(), piece);
    const auto index = static_cast<size_t>(after - first_piece_.begin()) - 1;
    const int64_t within = piece - first_piece_[index];
    attend(shape, cache, sequences[index], within / shape.heads, within % shape.heads,
           scratch_[static_cast<size_t>(thread)]);
  });
}

void ReferenceKernels::store_cache(const CacheView& cache, CachePart part, const float* x,
                                   int64_t stride, std::span<const CacheSlot> slots) {
  FATHOM_ASSERT(cache.dtype == DType::kF32);
  const bool keys = part == CachePart::kKey;
  const int64_t width = keys ? cache.key_width : cache.value_width;
  for (size_t i = 0; i < slots.size(); ++i) {
    auto* page = reinterpret_cast<float*>(cache.base + slots[i].page * cache.page_bytes);
    float* rows = keys ? page : page + cache.page_tokens * cache.key_width;
    std::copy_n(x + static_cast<int64_t>(i) * stride, width, rows + slots[i].slot * width);
  }
}

}  // namespace fathom
