// What both ways of computing attention share: where a tile's rows lie in the cache, and the online
// softmax over a tile's scores.
#pragma once

#include "kernels/packed/vector_ops.h"
#include "kernels/simd/elementwise.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

inline int64_t whole_vectors(int64_t n) {
  return (n + kLanes - 1) / kLanes * kLanes;
}

// kLanes cached elements; `scale` is kInt8's.
template <CacheType kType>
inline F load_cached(const std::byte* p, F scale) {
  if constexpr (kType == CacheType::kF16) {
    return load_half(p);
  } else if constexpr (kType == CacheType::kBF16) {
    return load_bfloat(p);
  } else {
    return mul(load_s8(p), scale);
  }
}

// Where a tile's rows of one head's keys or values lie in the cache.
struct CachedTile {
  const std::byte* row[kAttentionTile];
  float scale[2][kAttentionTile];  // kInt8's: of the elements before `split` and from there on
  int64_t split = 0;
};

// Where positions `at` lie, and the last one again up to a whole tile.
inline void find_rows(const AttentionPass& pass, const CacheRows& rows, const AttentionAhead& at,
                      CachedTile& tile) {
  constexpr int64_t kScaleBytes = 4;
  const CacheView& cache = *pass.cache;
  const bool two = rows.split < rows.dim;
  const int64_t scales = at.kv_head * (two ? 2 : 1) * cache.page_tokens;
  const int64_t row_bytes = rows.width * rows.element_bytes;
  const int64_t head = rows.at + at.kv_head * rows.dim * rows.element_bytes;
  tile.split = rows.split;
  int64_t number = at.begin / cache.page_tokens;
  int64_t slot = at.begin % cache.page_tokens;
  const std::byte* page = cache.base + at.pages[number] * cache.page_bytes;
  for (int64_t t = 0; t < kAttentionTile; ++t) {
    tile.row[t] = page + head + slot * row_bytes;
    if (cache.type == CacheType::kInt8) {
      const std::byte* from = page + rows.scales_at + (scales + slot) * kScaleBytes;
      __builtin_memcpy(&tile.scale[0][t], from, kScaleBytes);
      if (two) {
        __builtin_memcpy(&tile.scale[1][t], from + cache.page_tokens * kScaleBytes, kScaleBytes);
      }
    }
    if (t + 1 >= at.count || ++slot < cache.page_tokens) continue;
    slot = 0;
    page = cache.base + at.pages[++number] * cache.page_bytes;
  }
}

// The pass's own tile at `begin`.
inline AttentionAhead tile_at(const AttentionPass& pass, int64_t begin) {
  const int64_t left = pass.end - begin;
  return {pass.pages, pass.kv_head, begin, left < kAttentionTile ? left : kAttentionTile};
}

// One row's scores of a tile become weights; its maximum, total and values are rescaled.
inline void soften(float* scores, int64_t visible, float& maximum, float& total, float* values,
                   int64_t value_stride) {
  constexpr float kInfinity = __builtin_inff();
  for (int64_t t = visible; t < kAttentionTile; ++t) scores[t] = -kInfinity;
  F most = load(scores);
  for (int64_t t = kLanes; t < kAttentionTile; t += kLanes) most = max(most, load(scores + t));
  const float tile_maximum = largest(most);
  const float now = tile_maximum > maximum ? tile_maximum : maximum;
  F sums = zero();
  for (int64_t t = 0; t < kAttentionTile; t += kLanes) {
    const F weight = exp(sub(load(scores + t), set1(now)));
    store(scores + t, weight);
    sums = add(sums, weight);
  }
  if (now > maximum) {  // also the first time, when the maximum is -infinity
    const F kept = exp(set1(maximum - now));
    for (int64_t d = 0; d < value_stride; d += kLanes)
      store(values + d, mul(load(values + d), kept));
    total *= largest(kept);
    maximum = now;
  }
  total += sum(sums);
}

inline void begin_rows(const AttentionPass& pass, int64_t value_stride) {
  for (int64_t m = 0; m < pass.rows; ++m) {
    pass.maximum[m] = -__builtin_inff();
    pass.total[m] = 0.0F;
  }
  for (int64_t i = 0; i < pass.rows * value_stride; i += kLanes) store(pass.values + i, zero());
}

// The first row that sees anything of the tile at `begin`: tokens that come before it come first.
inline int64_t first_row(const AttentionPass& pass, int64_t begin) {
  const int64_t blind = begin - pass.first_end + 1;
  return blind > 0 ? blind * pass.heads : 0;
}

inline void soften_rows(const AttentionPass& pass, int64_t begin, int64_t count, int64_t first,
                        float* scores, int64_t value_stride) {
  for (int64_t m = first; m < pass.rows; ++m) {
    const int64_t sees = pass.first_end + m / pass.heads - begin;
    soften(scores + m * kAttentionTile, sees < count ? sees : count, pass.maximum[m], pass.total[m],
           pass.values + m * value_stride, value_stride);
  }
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
