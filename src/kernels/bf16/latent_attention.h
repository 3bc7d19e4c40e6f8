// Attention over MLA's latent cache with products of BF16 pairs (VDPBF16PS), in the vocabulary of
// avx512/simd.h, which is included first. All heads read the same rows, so a tile of the cache is
// rounded to BF16 once and then takes half the instructions that F32 does; sums and the softmax are
// F32. As in simd/attention.h a row's sums run in the order of the cache whatever rows it is
// computed with.
//
// Queries, keys, values and weights have 8 binary digits here: what that costs in KL is a
// thirtieth of what the 8-bit inputs of the matrix products do (docs/performance.md, Accuracy).
#pragma once

#include "kernels/simd/attention_tile.h"
#include "kernels/simd/cached_attention.h"
#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

inline constexpr int kPairLanes = 2 * kLanes;  // BF16 elements of a vector

// Elements [d, d + 32) of a cached row, rounded to BF16.
template <CacheType kType>
inline I load_rounded(const CachedTile& tile, int64_t t, int64_t d) {
  if constexpr (kType == CacheType::kBF16) {
    return _mm512_loadu_si512(tile.row[t] + 2 * d);
  } else {
    const F low = load_element<kType>(tile, t, d);
    const F high = load_element<kType>(tile, t, d + kLanes);
    return reinterpret_cast<I>(_mm512_cvtne2ps_pbh(high, low));
  }
}

inline void round_row(const float* x, int64_t n, uint16_t* to) {
  for (int64_t i = 0; i < n; i += kPairLanes) {
    const auto rounded = _mm512_cvtne2ps_pbh(load(x + i + kLanes), load(x + i));
    _mm512_storeu_si512(to + i, reinterpret_cast<I>(rounded));
  }
}

// sum + the products of 16 pairs.
inline F dot_pairs(F sum, I a, I b) {
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

// keys[t] = row t of the tile, and pairs[t / 2] = the values of rows t and t + 1, element by
// element one of each, for four rows from `begin` on.
template <CacheType kType>
inline void round_four(const AttentionPass& pass, const CachedTile& cached, int64_t begin,
                       uint16_t* keys, uint16_t* pairs) {
  const int64_t dim = pass.key_dim;
  const int64_t value_dim = pass.value_dim;
  alignas(64) uint16_t order[2][kPairLanes];
  for (int i = 0; i < kPairLanes; ++i) {
    order[0][i] = static_cast<uint16_t>(i / 2 + i % 2 * kPairLanes);
    order[1][i] = static_cast<uint16_t>(order[0][i] + kLanes);
  }
  const I first_half = _mm512_load_si512(order[0]);
  const I second_half = _mm512_load_si512(order[1]);
  for (int64_t t = begin; t < begin + 4; t += 2) {
    uint16_t* even = keys + t * dim;
    uint16_t* odd = even + dim;
    uint16_t* both = pairs + t * value_dim;
    for (int64_t d = 0; d < dim; d += kPairLanes) {
      const I a = load_rounded<kType>(cached, t, d);
      const I b = load_rounded<kType>(cached, t + 1, d);
      _mm512_storeu_si512(even + d, a);
      _mm512_storeu_si512(odd + d, b);
      if (d >= value_dim) continue;
      _mm512_storeu_si512(both + 2 * d, _mm512_permutex2var_epi16(a, first_half, b));
      _mm512_storeu_si512(both + 2 * d + kPairLanes, _mm512_permutex2var_epi16(a, second_half, b));
    }
  }
}

// scores[r][t] = q[r] . keys[t] for kRows rows and four tokens.
template <int kRows>
inline void score_pairs(const uint16_t* q, const uint16_t* keys, int64_t dim, float* scores) {
  F sums[kRows][4];
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    FATHOM_UNROLL
    for (int t = 0; t < 4; ++t) sums[r][t] = zero();
  }
  for (int64_t d = 0; d < dim; d += kPairLanes) {
    I row[kRows];
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) row[r] = _mm512_loadu_si512(q + r * dim + d);
    FATHOM_UNROLL
    for (int t = 0; t < 4; ++t) {
      const I key = _mm512_loadu_si512(keys + t * dim + d);
      FATHOM_UNROLL
      for (int r = 0; r < kRows; ++r) sums[r][t] = dot_pairs(sums[r][t], row[r], key);
    }
  }
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    store_sums(scores + r * kAttentionTile, sums[r][0], sums[r][1], sums[r][2], sums[r][3]);
  }
}

// values[r] += weights[r][t] * v[t] for kRows rows and kVectors vectors of a row; weights and
// values come in pairs of tokens.
template <int kRows, int kVectors>
inline void value_pairs(const uint16_t* weights, const uint16_t* pairs, int64_t count,
                        int64_t value_dim, float* values) {
  F sums[kRows][kVectors];
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    FATHOM_UNROLL
    for (int c = 0; c < kVectors; ++c) sums[r][c] = load(values + r * value_dim + c * kLanes);
  }
  for (int64_t t = 0; t < count; t += 2) {
    I weight[kRows];
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) {
      int both;
      __builtin_memcpy(&both, weights + r * kAttentionTile + t, sizeof both);
      weight[r] = _mm512_set1_epi32(both);
    }
    FATHOM_UNROLL
    for (int c = 0; c < kVectors; ++c) {
      const I value = _mm512_loadu_si512(pairs + t * value_dim + c * kPairLanes);
      FATHOM_UNROLL
      for (int r = 0; r < kRows; ++r) sums[r][c] = dot_pairs(sums[r][c], value, weight[r]);
    }
  }
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    FATHOM_UNROLL
    for (int c = 0; c < kVectors; ++c) store(values + r * value_dim + c * kLanes, sums[r][c]);
  }
}

// Four tokens' keys, and 64 elements of a tile's values, stay in L1 while all rows use them.
template <CacheType kType>
inline void attend_latent(const AttentionPass& pass) {
  const int64_t dim = pass.key_dim;
  const int64_t value_dim = pass.value_dim;
  float* scores = pass.tile;
  auto* keys = reinterpret_cast<uint16_t*>(scores + pass.rows * kAttentionTile);
  uint16_t* pairs = keys + kAttentionTile * dim;
  uint16_t* weights = pairs + kAttentionTile * value_dim;
  uint16_t* q = weights + pass.rows * kAttentionTile;

  begin_rows(pass, value_dim);
  for (int64_t m = 0; m < pass.rows; ++m) round_row(pass.q + m * dim, dim, q + m * dim);
  CachedParts parts[2];  // of this tile and of the one after it
  parts[0].find(pass, tile_at(pass, pass.begin));
  int now = 0;
  for (int64_t begin = pass.begin; begin < pass.end; begin += kAttentionTile, now = 1 - now) {
    const int64_t count = tile_at(pass, begin).count;
    const bool last = begin + kAttentionTile >= pass.end;
    const AttentionAhead next = last ? pass.next : tile_at(pass, begin + kAttentionTile);
    CachedParts& ahead = parts[1 - now];
    if (next.count > 0) ahead.find(pass, next);
    RowsAhead next_rows = {&ahead.keys, dim * pass.key_rows.element_bytes, next.count};

    const int64_t first = first_row(pass, begin);
    for (int64_t t = 0; t < count; t += 4) {  // beyond count find_rows() repeats the last row
      next_rows.fetch(4);
      round_four<kType>(pass, parts[now].keys, t, keys, pairs);
      for_groups(first, pass.rows, [&]<int kRows>(int64_t m) {
        score_pairs<kRows>(q + m * dim, keys + t * dim, dim, scores + m * kAttentionTile + t);
      });
    }
    next_rows.fetch(kAttentionTile);
    soften_rows(pass, begin, count, first, scores, value_dim);
    for (int64_t m = first; m < pass.rows; ++m) {
      round_row(scores + m * kAttentionTile, kAttentionTile, weights + m * kAttentionTile);
    }
    const int64_t even_count = (count + 1) / 2 * 2;
    const auto add = [&]<int kVectors>(int64_t d) {
      for_groups(first, pass.rows, [&]<int kRows>(int64_t m) {
        value_pairs<kRows, kVectors>(weights + m * kAttentionTile, pairs + 2 * d, even_count,
                                     value_dim, pass.values + m * value_dim + d);
      });
    };
    int64_t d = 0;
    for (; d + 4 * kLanes <= value_dim; d += 4 * kLanes) add.template operator()<4>(d);
    if (d < value_dim) add.template operator()<2>(d);
  }
}

inline void attend_latent(const AttentionPass& pass) {
  switch (pass.cache->type) {
    case CacheType::kBF16:
      return attend_latent<CacheType::kBF16>(pass);
    case CacheType::kInt8:
      return attend_latent<CacheType::kInt8>(pass);
    default:  // F32 is the reference kernels' alone
      return attend_latent<CacheType::kF16>(pass);
  }
}

// A latent cache of whole vectors. What decides must not depend on the rows of a pass: a token's
// result would.
inline bool can_attend_latent(const AttentionPass& pass) {
  return pass.cache->values_in_keys && pass.key_dim % kPairLanes == 0 &&
         pass.value_dim % kPairLanes == 0 && pass.key_rows.split % kLanes == 0;
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
