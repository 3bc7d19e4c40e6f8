// Row-wise operations on F32.
#pragma once

#include "kernels/attention.h"
#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

// e^x within 2 units in the last place; 0 below -87.3, e^88 above 88. The Cephes polynomial
// (Moshier), after splitting x = n ln 2 + r.
inline F exp(F x) {
  // min and max return their second operand if one is NaN, so that NaN comes through.
  const F clamped = min(set1(88.0F), max(set1(-87.3F), x));
  const F n = round(mul(clamped, set1(1.44269504F)));
  F r = fma(n, set1(-0.693359375F), clamped);
  r = fma(n, set1(2.12194440e-4F), r);
  F p = set1(1.9875691500e-4F);
  p = fma(p, r, set1(1.3981999507e-3F));
  p = fma(p, r, set1(8.3334519073e-3F));
  p = fma(p, r, set1(4.1665795894e-2F));
  p = fma(p, r, set1(1.6666665459e-1F));
  p = fma(p, r, set1(5.0000001201e-1F));
  p = add(fma(mul(r, r), p, r), set1(1.0F));
  return zero_if_below(mul(p, power_of_two(n)), x, -87.3F);
}

inline float sum_of_squares(const float* x, int64_t n) {
  F sums[4] = {zero(), zero(), zero(), zero()};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    FATHOM_UNROLL
    for (int j = 0; j < 4; ++j) {
      const F v = load(x + i + j * kLanes);
      sums[j] = fma(v, v, sums[j]);
    }
  }
  for (; i + kLanes <= n; i += kLanes) {
    const F v = load(x + i);
    sums[0] = fma(v, v, sums[0]);
  }
  if (i < n) {
    const F v = load_first(x + i, n - i);
    sums[1] = fma(v, v, sums[1]);
  }
  return sum(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
}

inline void rms_norm(const float* x, const float* weight, float eps, int64_t cols, float* out) {
  const float mean = sum_of_squares(x, cols) / static_cast<float>(cols);
  const F scale = set1(1.0F / __builtin_sqrtf(mean + eps));
  int64_t i = 0;
  for (; i + kLanes <= cols; i += kLanes) {
    store(out + i, mul(mul(load(x + i), scale), load(weight + i)));
  }
  if (i < cols) {
    const int64_t rest = cols - i;
    store_first(out + i, mul(mul(load_first(x + i, rest), scale), load_first(weight + i, rest)),
                rest);
  }
}

inline void rotate_pair(float& a, float& b, float cosine, float sine) {
  const float rotated = __builtin_fmaf(a, cosine, -(b * sine));
  b = __builtin_fmaf(b, cosine, a * sine);
  a = rotated;
}

inline void rope(float* head, int64_t dim, const float* cos_sin, bool interleaved) {
  const int64_t half = dim / 2;
  const float* cosine = cos_sin;
  const float* sine = cos_sin + half;
  int64_t i = 0;  // pairs done
  if (interleaved) {
    for (; i + kLanes / 2 <= half; i += kLanes / 2) {
      const F v = load(head + 2 * i);
      store(head + 2 * i,
            fma_sub_add(v, load_twice(cosine + i), mul(swap_pairs(v), load_twice(sine + i))));
    }
    for (; i < half; ++i) rotate_pair(head[2 * i], head[2 * i + 1], cosine[i], sine[i]);
    return;
  }
  for (; i + kLanes <= half; i += kLanes) {
    const F a = load(head + i);
    const F b = load(head + half + i);
    const F c = load(cosine + i);
    const F s = load(sine + i);
    store(head + i, sub(mul(a, c), mul(b, s)));
    store(head + half + i, fma(b, c, mul(a, s)));
  }
  for (; i < half; ++i) rotate_pair(head[i], head[half + i], cosine[i], sine[i]);
}

inline F silu_times(F gate, F up) {
  return mul(div(gate, add(set1(1.0F), exp(sub(zero(), gate)))), up);
}

inline void swiglu(const float* gate, const float* up, int64_t cols, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= cols; i += kLanes) {
    store(out + i, silu_times(load(gate + i), load(up + i)));
  }
  if (i < cols) {
    const int64_t rest = cols - i;
    store_first(out + i, silu_times(load_first(gate + i, rest), load_first(up + i, rest)), rest);
  }
}

inline void add_row(float* x, const float* y, int64_t cols) {
  int64_t i = 0;
  for (; i + kLanes <= cols; i += kLanes) store(x + i, add(load(x + i), load(y + i)));
  if (i < cols) {
    const int64_t rest = cols - i;
    store_first(x + i, add(load_first(x + i, rest), load_first(y + i, rest)), rest);
  }
}

inline void add_scaled(const float* x, float scale, int64_t cols, float* out) {
  const F factor = set1(scale);
  int64_t i = 0;
  for (; i + kLanes <= cols; i += kLanes) {
    store(out + i, fma(factor, load(x + i), load(out + i)));
  }
  if (i < cols) {
    const int64_t rest = cols - i;
    store_first(out + i, fma(factor, load_first(x + i, rest), load_first(out + i, rest)), rest);
  }
}

inline void scale_row(const float* x, float scale, int64_t cols, float* out) {
  const F factor = set1(scale);
  int64_t i = 0;
  for (; i + kLanes <= cols; i += kLanes) store(out + i, mul(factor, load(x + i)));
  if (i < cols) store_first(out + i, mul(factor, load_first(x + i, cols - i)), cols - i);
}

inline void to_half(const float* x, int64_t n, void* out) {
  auto* to = static_cast<std::byte*>(out);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_half(to + 2 * i, load(x + i));
  if (i < n) {
    alignas(64) std::byte rest[2 * kLanes];
    store_half(rest, load_first(x + i, n - i));
    __builtin_memcpy(to + 2 * i, rest, static_cast<size_t>(2 * (n - i)));
  }
}

inline void to_bfloat(const float* x, int64_t n, void* out) {
  auto* to = static_cast<std::byte*>(out);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_bfloat(to + 2 * i, load(x + i));
  if (i < n) {
    alignas(64) std::byte rest[2 * kLanes];
    store_bfloat(rest, load_first(x + i, n - i));
    __builtin_memcpy(to + 2 * i, rest, static_cast<size_t>(2 * (n - i)));
  }
}

// Codes of one scale, which is returned: CacheType::kInt8.
inline float to_int8(const float* x, int64_t n, void* out) {
  auto* codes = static_cast<std::byte*>(out);
  const int64_t whole = n / 32 * 32;
  alignas(64) float rest[32] = {};
  __builtin_memcpy(rest, x + whole, static_cast<size_t>(n - whole) * sizeof(float));
  float most = largest_magnitude32(rest);
  for (int64_t i = 0; i < whole && !__builtin_isnan(most); i += 32) {
    const float magnitude = largest_magnitude32(x + i);
    if (!(magnitude <= most)) most = magnitude;  // NaN too
  }
  const bool finite = __builtin_isfinite(most);
  if (!finite || most < kLeastCachedRow) {
    __builtin_memset(codes, 0, static_cast<size_t>(n));
    return finite ? 0.0F : __builtin_nanf("");
  }
  const float inverse = 127.0F / most;
  int sums[2];
  for (int64_t i = 0; i < whole; i += 32) quantize32(x + i, inverse, codes + i, sums[0], sums[1]);
  if (whole < n) {
    alignas(64) std::byte last[32];
    quantize32(rest, inverse, last, sums[0], sums[1]);
    __builtin_memcpy(codes + whole, last, static_cast<size_t>(n - whole));
  }
  return most / 127.0F;
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
