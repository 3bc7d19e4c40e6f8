#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/assert.h"
#include "kernels/reference/dot.h"
#include "kernels/reference/reference_kernels.h"
#include "tensor/dequantize.h"

namespace fathom {
namespace {

// A head's part of a token's row.
struct CachedRow {
  std::byte* elements;
  std::byte* scale;  // of kInt8
  int64_t split;     // elements from here on have the second scale
  int64_t second;    // bytes on
};

CachedRow find_row(const CacheView& cache, const CacheRows& rows, const CacheSlot& slot,
                   int64_t head) {
  std::byte* page = cache.base + slot.page * cache.page_bytes;
  const int64_t scales = rows.split < rows.dim ? 2 : 1;
  constexpr auto kScaleBytes = static_cast<int64_t>(sizeof(float));
  return {page + rows.at + (slot.slot * rows.width + head * rows.dim) * rows.element_bytes,
          page + rows.scales_at + (head * scales * cache.page_tokens + slot.slot) * kScaleBytes,
          rows.split, cache.page_tokens * kScaleBytes};
}

CacheSlot slot_of(const CacheView& cache, const int32_t* pages, int64_t token) {
  return {pages[token / cache.page_tokens], static_cast<int32_t>(token % cache.page_tokens)};
}

template <typename Element>
Element element_at(const CachedRow& row, int64_t i) {
  Element element;
  std::memcpy(&element, row.elements + i * static_cast<int64_t>(sizeof element), sizeof element);
  return element;
}

// The row's first `dim` elements as F32, in place or in `buffer`.
const float* read_row(CacheType type, const CachedRow& row, int64_t dim, float* buffer) {
  switch (type) {
    case CacheType::kF32:
      return reinterpret_cast<const float*>(row.elements);
    case CacheType::kF16:
      for (int64_t i = 0; i < dim; ++i) buffer[i] = half_to_float(element_at<uint16_t>(row, i));
      return buffer;
    case CacheType::kBF16:
      for (int64_t i = 0; i < dim; ++i) buffer[i] = bfloat16_to_float(element_at<uint16_t>(row, i));
      return buffer;
    case CacheType::kInt8:
      for (int64_t i = 0; i < dim; ++i) {
        float scale;
        std::memcpy(&scale, row.scale + (i < row.split ? 0 : row.second), sizeof scale);
        buffer[i] = static_cast<float>(element_at<int8_t>(row, i)) * scale;
      }
      return buffer;
  }
  return buffer;
}

// Codes of n elements; returns their scale.
float quantize(const float* x, int64_t n, std::byte* codes) {
  float most = 0;
  for (int64_t i = 0; i < n; ++i) {
    // Once NaN it stays NaN.
    if (std::isnan(x[i]) || std::abs(x[i]) > most) most = std::abs(x[i]);
  }
  std::fill_n(codes, n, std::byte{0});
  if (!std::isfinite(most)) return NAN;
  if (most < kLeastCachedRow) return 0;
  const float inverse = 127.0F / most;
  for (int64_t i = 0; i < n; ++i) codes[i] = static_cast<std::byte>(std::lrint(x[i] * inverse));
  return most / 127.0F;
}

// A head's part of a row.
void write_row(CacheType type, const float* x, int64_t dim, const CachedRow& row) {
  const auto put = [](std::byte* at, auto value) { std::memcpy(at, &value, sizeof value); };
  switch (type) {
    case CacheType::kF32:
      for (int64_t i = 0; i < dim; ++i) put(row.elements + 4 * i, x[i]);
      return;
    case CacheType::kF16:
      for (int64_t i = 0; i < dim; ++i) put(row.elements + 2 * i, float_to_half(x[i]));
      return;
    case CacheType::kBF16:
      for (int64_t i = 0; i < dim; ++i) put(row.elements + 2 * i, float_to_bfloat16(x[i]));
      return;
    case CacheType::kInt8:
      put(row.scale, quantize(x, row.split, row.elements));
      if (row.split < dim) {
        put(row.scale + row.second,
            quantize(x + row.split, dim - row.split, row.elements + row.split));
      }
      return;
  }
}

// One head of one new token.
void attend(const AttentionShape& shape, const CacheView& cache, const AttentionSequence& sequence,
            int64_t row, int64_t head, std::vector<float>& scratch) {
  const int64_t visible = sequence.length - sequence.rows + row + 1;
  const int64_t kv_head = head / (shape.heads / shape.kv_heads);
  const float* q = sequence.q + row * sequence.q_stride + head * shape.key_dim;
  const int64_t widest = std::max(shape.key_dim, shape.value_dim);
  scratch.resize(std::max(scratch.size(), static_cast<size_t>(visible + widest)));
  float* buffer = scratch.data();
  float* scores = buffer + widest;

  const CacheRows keys = cache_rows(cache, CachePart::kKey);
  const CacheRows values = cache_rows(cache, CachePart::kValue);
  float largest = -INFINITY;
  for (int64_t t = 0; t < visible; ++t) {
    const CachedRow cached = find_row(cache, keys, slot_of(cache, sequence.pages, t), kv_head);
    const float* k = read_row(cache.type, cached, shape.key_dim, buffer);
    const float score = reference::dot(q, k, shape.key_dim) * shape.scale;
    scores[t] = score;
    largest = std::max(largest, score);
  }
  double total = 0;
  for (int64_t t = 0; t < visible; ++t) {
    float& score = scores[t];
    score = std::exp(score - largest);
    total += static_cast<double>(score);
  }
  const auto inverse = static_cast<float>(1.0 / total);

  float* out = sequence.out + row * sequence.out_stride + head * shape.value_dim;
  std::fill_n(out, shape.value_dim, 0.0F);
  for (int64_t t = 0; t < visible; ++t) {
    const CachedRow cached = find_row(cache, values, slot_of(cache, sequence.pages, t), kv_head);
    const float* v = read_row(cache.type, cached, shape.value_dim, buffer);
    const float weight = scores[t] * inverse;
    for (int64_t d = 0; d < shape.value_dim; ++d) out[d] += weight * v[d];
  }
}

}  // namespace

void ReferenceKernels::attention(const AttentionShape& shape, const CacheView& cache,
                                 std::span<const AttentionSequence> sequences) {
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
  const CacheRows rows = cache_rows(cache, part);
  for (size_t i = 0; i < slots.size(); ++i) {
    for (int64_t head = 0; head < cache.kv_heads; ++head) {
      write_row(cache.type, x + static_cast<int64_t>(i) * stride + head * rows.dim, rows.dim,
                find_row(cache, rows, slots[i], head));
    }
  }
}

}  // namespace fathom
