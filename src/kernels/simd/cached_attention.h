// Attention of few rows, as a decode step has them: to widen a tile for them would take longer than
// to use it, so they read the cache itself. The sums are those of simd/attention.h, bit by bit.
#pragma once

#include "kernels/simd/attention_tile.h"
#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

template <CacheType kType>
inline F load_element(const CachedTile& tile, int64_t t, int64_t d) {
  if constexpr (kType == CacheType::kInt8) {
    return load_cached<kType>(tile.row[t] + d, set1(tile.scale[d < tile.split ? 0 : 1][t]));
  } else {
    return load_cached<kType>(tile.row[t] + 2 * d, zero());
  }
}

// The rows that the next tile will read come from memory, which takes longer than to compute a
// tile: they are fetched a few at a time. One head's rows lie too far apart for the processor to
// see them coming.
struct RowsAhead {
  const CachedTile* tile = nullptr;  // null: none
  int64_t row_bytes = 0;
  int64_t count = 0;
  int64_t done = 0;

  void fetch(int64_t rows) {
    const int64_t end = done + rows < count ? done + rows : count;
    for (; done < end; ++done) {
      for (int64_t at = 0; at < row_bytes; at += 64) prefetch_far(tile->row[done] + at);
    }
  }
};

template <CacheType kType, int kRows>
inline void score_cached(const float* q, int64_t stride, const CachedTile& keys, int64_t count,
                         float* scores, RowsAhead& ahead) {
  for (int64_t four = 0; four < count; four += 4) {
    ahead.fetch(4);
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
        const F key = load_element<kType>(keys, four + t, d);
        FATHOM_UNROLL
        for (int r = 0; r < kRows; ++r) sums[r][t] = fma(row[r], key, sums[r][t]);
      }
    }
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) {
      store_sums(scores + r * kAttentionTile + four, sums[r][0], sums[r][1], sums[r][2],
                 sums[r][3]);
    }
  }
}

template <CacheType kType, int kRows, int kVectors>
inline void value_cached(const float* weights, const CachedTile& v, int64_t count, int64_t d,
                         float* values, int64_t stride, RowsAhead& ahead) {
  F sums[kRows][kVectors];
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    FATHOM_UNROLL
    for (int c = 0; c < kVectors; ++c) sums[r][c] = load(values + r * stride + d + c * kLanes);
  }
  for (int64_t t = 0; t < count; ++t) {
    ahead.fetch(1);
    F weight[kRows];
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) weight[r] = set1(weights[r * kAttentionTile + t]);
    FATHOM_UNROLL
    for (int c = 0; c < kVectors; ++c) {
      const F value = load_element<kType>(v, t, d + c * kLanes);
      FATHOM_UNROLL
      for (int r = 0; r < kRows; ++r) sums[r][c] = fma(weight[r], value, sums[r][c]);
    }
  }
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    FATHOM_UNROLL
    for (int c = 0; c < kVectors; ++c) store(values + r * stride + d + c * kLanes, sums[r][c]);
  }
}

template <CacheType kType, int kRows>
inline void add_cached(const float* weights, const CachedTile& v, int64_t count, float* values,
                       int64_t stride, RowsAhead& ahead) {
  int64_t d = 0;
  for (; d + 4 * kLanes <= stride; d += 4 * kLanes) {
    value_cached<kType, kRows, 4>(weights, v, count, d, values, stride, ahead);
  }
  for (; d < stride; d += kLanes) {
    value_cached<kType, kRows, 1>(weights, v, count, d, values, stride, ahead);
  }
}

// Calls work<size>(m) for the groups of at most kAttentionRows that rows [first, rows) make, where
// m is a group's first.
template <int kRows = kAttentionRows, typename Work>
inline void for_groups(int64_t first, int64_t rows, const Work& work) {
  int64_t m = first;
  for (; m + kRows <= rows; m += kRows) work.template operator()<kRows>(m);
  if constexpr (kRows > 1) {
    if (m < rows) for_groups<kRows - 1>(m, rows, work);
  }
}

// Where the keys and values of a tile are.
struct CachedParts {
  CachedTile keys;
  CachedTile own_values;  // unless values are in the keys

  void find(const AttentionPass& pass, const AttentionAhead& at) {
    find_rows(pass, pass.key_rows, at, keys);
    if (!pass.cache->values_in_keys) find_rows(pass, pass.value_rows, at, own_values);
  }
};

template <CacheType kType>
inline void attend_cached(const AttentionPass& pass) {
  const int64_t key_stride = pass.key_dim;
  const int64_t value_stride = pass.value_dim;
  float* scores = pass.tile;
  begin_rows(pass, value_stride);
  CachedParts parts[2];  // of this tile and of the one after it
  parts[0].find(pass, tile_at(pass, pass.begin));
  int now = 0;
  for (int64_t begin = pass.begin; begin < pass.end; begin += kAttentionTile, now = 1 - now) {
    const int64_t count = tile_at(pass, begin).count;
    const bool last = begin + kAttentionTile >= pass.end;
    const AttentionAhead next = last ? pass.next : tile_at(pass, begin + kAttentionTile);
    CachedParts& ahead = parts[1 - now];
    if (next.count > 0) ahead.find(pass, next);
    RowsAhead next_keys = {&ahead.keys, key_stride * pass.key_rows.element_bytes, next.count};
    RowsAhead next_values = {&ahead.own_values, value_stride * pass.value_rows.element_bytes,
                             pass.cache->values_in_keys ? 0 : next.count};
    const CachedTile& keys = parts[now].keys;
    const CachedTile& v = pass.cache->values_in_keys ? keys : parts[now].own_values;

    const int64_t first = first_row(pass, begin);
    for_groups(first, pass.rows, [&]<int kRows>(int64_t m) {
      score_cached<kType, kRows>(pass.q + m * key_stride, key_stride, keys, count,
                                 scores + m * kAttentionTile, next_keys);
    });
    next_keys.fetch(kAttentionTile);
    soften_rows(pass, begin, count, first, scores, value_stride);
    for_groups(first, pass.rows, [&]<int kRows>(int64_t m) {
      add_cached<kType, kRows>(scores + m * kAttentionTile, v, count,
                               pass.values + m * value_stride, value_stride, next_values);
    });
    next_values.fetch(kAttentionTile);
  }
}

// Few rows, and no vector that lies beyond a head's elements or under two scales.
inline bool can_attend_cached(const AttentionPass& pass) {
  const auto whole = [](int64_t elements) { return elements % kLanes == 0; };
  return pass.rows <= int64_t{2} * kAttentionRows && whole(pass.key_dim) && whole(pass.value_dim) &&
         whole(pass.key_rows.split) && whole(pass.value_rows.split);
}

inline void attend_cached(const AttentionPass& pass) {
  switch (pass.cache->type) {
    case CacheType::kBF16:
      return attend_cached<CacheType::kBF16>(pass);
    case CacheType::kInt8:
      return attend_cached<CacheType::kInt8>(pass);
    default:  // F32 is the reference kernels' alone
      return attend_cached<CacheType::kF16>(pass);
  }
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
