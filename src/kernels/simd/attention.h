// Attention of a block of query rows over a stretch of the cache, tile by tile with the online
// softmax: keys and values of a tile are widened to F32 once and used by all rows. A row's sums run
// in the order of the cache whatever rows it is computed with.
#pragma once

#include "kernels/simd/attention_tile.h"
#include "kernels/simd/cached_attention.h"
#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

// n elements to F32.
template <CacheType kType>
inline void widen_row(const std::byte* from, F scale, int64_t n, float* to) {
  constexpr int kBytes = kType == CacheType::kInt8 ? 1 : 2;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(to + i, load_cached<kType>(from + kBytes * i, scale));
  if (i < n) {
    alignas(64) std::byte rest[kBytes * kLanes] = {};
    __builtin_memcpy(rest, from + kBytes * i, static_cast<size_t>(kBytes * (n - i)));
    store_first(to + i, load_cached<kType>(rest, scale), n - i);
  }
}

// Rows [begin, begin + count) of one head's keys or values, to tile[count][whole_vectors(dim)],
// zero beyond dim.
template <CacheType kType>
inline void widen_tile(const AttentionPass& pass, const CacheRows& rows, int64_t dim, int64_t begin,
                       int64_t count, float* tile) {
  CachedTile cached;
  find_rows(pass, rows, {pass.pages, pass.kv_head, begin, count}, cached);
  const int64_t first = rows.split < dim ? rows.split : dim;  // elements of the first scale
  for (int64_t t = 0; t < count; ++t) {
    float* to = tile + t * whole_vectors(dim);
    if constexpr (kType == CacheType::kInt8) {
      widen_row<kType>(cached.row[t], set1(cached.scale[0][t]), first, to);
      if (first < dim) {
        widen_row<kType>(cached.row[t] + first, set1(cached.scale[1][t]), dim - first, to + first);
      }
    } else {
      widen_row<kType>(cached.row[t], zero(), dim, to);
    }
    for (int64_t i = dim; i < whole_vectors(dim); ++i) to[i] = 0.0F;
  }
}

inline void widen_tile(const AttentionPass& pass, const CacheRows& rows, int64_t dim, int64_t begin,
                       int64_t count, float* tile) {
  switch (pass.cache->type) {
    case CacheType::kBF16:
      return widen_tile<CacheType::kBF16>(pass, rows, dim, begin, count, tile);
    case CacheType::kInt8:
      return widen_tile<CacheType::kInt8>(pass, rows, dim, begin, count, tile);
    default:  // F32 is the reference kernels' alone
      return widen_tile<CacheType::kF16>(pass, rows, dim, begin, count, tile);
  }
}

// scores[r][t] = q[r] . keys[t] for kRows rows and four tokens.
template <int kRows>
inline void score_block(const float* q, const float* keys, int64_t stride, float* scores) {
  F sums[kRows][4];
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    FATHOM_UNROLL
    for (int t = 0; t < 4; ++t) sums[r][t] = zero();
  }
  for (int64_t d = 0; d < stride; d += kLanes) {
    F row[kRows];
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) row[r] = load(q + r * stride + d);
    FATHOM_UNROLL
    for (int t = 0; t < 4; ++t) {
      const F key = load(keys + t * stride + d);
      FATHOM_UNROLL
      for (int r = 0; r < kRows; ++r) sums[r][t] = fma(row[r], key, sums[r][t]);
    }
  }
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    store_sums(scores + r * kAttentionTile, sums[r][0], sums[r][1], sums[r][2], sums[r][3]);
  }
}

// values[r] += weights[r][t] * v[t], t < count, for kRows rows and kVectors vectors of a row.
template <int kRows, int kVectors>
inline void value_block(const float* weights, const float* v, int64_t v_stride, int64_t count,
                        float* values, int64_t value_stride) {
  F sums[kRows][kVectors];
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    FATHOM_UNROLL
    for (int c = 0; c < kVectors; ++c) sums[r][c] = load(values + r * value_stride + c * kLanes);
  }
  for (int64_t t = 0; t < count; ++t) {
    F weight[kRows];
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) weight[r] = set1(weights[r * kAttentionTile + t]);
    FATHOM_UNROLL
    for (int c = 0; c < kVectors; ++c) {
      const F value = load(v + t * v_stride + c * kLanes);
      FATHOM_UNROLL
      for (int r = 0; r < kRows; ++r) sums[r][c] = fma(weight[r], value, sums[r][c]);
    }
  }
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    FATHOM_UNROLL
    for (int c = 0; c < kVectors; ++c) store(values + r * value_stride + c * kLanes, sums[r][c]);
  }
}

template <int kRows>
inline void add_values(const float* weights, const float* v, int64_t v_stride, int64_t count,
                       float* values, int64_t value_stride) {
  int64_t d = 0;
  for (; d + 4 * kLanes <= value_stride; d += 4 * kLanes) {
    value_block<kRows, 4>(weights, v + d, v_stride, count, values + d, value_stride);
  }
  for (; d < value_stride; d += kLanes) {
    value_block<kRows, 1>(weights, v + d, v_stride, count, values + d, value_stride);
  }
}

inline void attend_widened(const AttentionPass& pass) {
  const int64_t key_stride = whole_vectors(pass.key_dim);
  const int64_t value_stride = whole_vectors(pass.value_dim);
  const bool shared = pass.cache->values_in_keys;
  float* keys = pass.tile;
  float* own_values = keys + kAttentionTile * key_stride;
  float* scores = own_values + (shared ? 0 : kAttentionTile * value_stride);
  const float* v = shared ? keys : own_values;
  const int64_t v_stride = shared ? key_stride : value_stride;

  begin_rows(pass, value_stride);
  for (int64_t begin = pass.begin; begin < pass.end; begin += kAttentionTile) {
    const int64_t count = pass.end - begin < kAttentionTile ? pass.end - begin : kAttentionTile;
    widen_tile(pass, pass.key_rows, pass.key_dim, begin, count, keys);
    if (!shared) widen_tile(pass, pass.value_rows, pass.value_dim, begin, count, own_values);
    const int64_t fours = (count + 3) / 4 * 4;
    for (int64_t i = count * key_stride; i < fours * key_stride; i += kLanes) {
      store(keys + i, zero());
    }
    const int64_t first = first_row(pass, begin);
    int64_t m = first;
    for (; m + kAttentionRows <= pass.rows; m += kAttentionRows) {
      for (int64_t t = 0; t < fours; t += 4) {
        score_block<kAttentionRows>(pass.q + m * key_stride, keys + t * key_stride, key_stride,
                                    scores + m * kAttentionTile + t);
      }
    }
    for (; m < pass.rows; ++m) {
      for (int64_t t = 0; t < fours; t += 4) {
        score_block<1>(pass.q + m * key_stride, keys + t * key_stride, key_stride,
                       scores + m * kAttentionTile + t);
      }
    }
    soften_rows(pass, begin, count, first, scores, value_stride);
    for (m = first; m + kAttentionRows <= pass.rows; m += kAttentionRows) {
      add_values<kAttentionRows>(scores + m * kAttentionTile, v, v_stride, count,
                                 pass.values + m * value_stride, value_stride);
    }
    for (; m < pass.rows; ++m) {
      add_values<1>(scores + m * kAttentionTile, v, v_stride, count, pass.values + m * value_stride,
                    value_stride);
    }
  }
}

inline void attend(const AttentionPass& pass) {
  if (can_attend_cached(pass)) {
    attend_cached(pass);
  } else {
    attend_widened(pass);
  }
}

inline void merge(float* maximum, float* total, float* values, float other_maximum,
                  float other_total, const float* other_values, int64_t value_dim) {
  const float now = other_maximum > *maximum ? other_maximum : *maximum;
  const F kept = exp(set1(*maximum - now));
  const F added = exp(set1(other_maximum - now));
  for (int64_t d = 0; d < whole_vectors(value_dim); d += kLanes) {
    store(values + d, fma(load(other_values + d), added, mul(load(values + d), kept)));
  }
  *total = *total * largest(kept) + other_total * largest(added);
  *maximum = now;
}

inline void finish(const float* values, float total, int64_t value_dim, float* out) {
  scale_row(values, 1.0F / total, value_dim, out);
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
