// The AVX2 + FMA + F16C vocabulary that the templates in kernels/simd are written in: 8 floats,
// or 32 code bytes, in a vector. Included by the files of this folder only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#define FATHOM_SIMD_NAMESPACE avx2

namespace fathom::FATHOM_SIMD_NAMESPACE {

using F = __m256;
using I = __m256i;
inline constexpr int kLanes = 8;
inline constexpr bool kUnsigned8 = false;
inline constexpr int kCodeRows = 4;       // eight code vectors, four sums: what 16 registers allow
inline constexpr int kRowChains = 1;      // rows whose sums are computed side by side
inline constexpr bool kExpand = true;     // for many rows: simd/expanded_matmul.h
inline constexpr int kWideRows = 6;       // by two panels: twelve sums; the totals live in L1
inline constexpr bool kRowPairs = false;  // simd/row_dots.h
inline constexpr int kFloatRows = 6;      // twelve sums
inline constexpr int kAttentionRows = 3;  // by four tokens or vectors: twelve sums

// --- Floats -----------------------------------------------------------------------------------
inline F zero() {
  return _mm256_setzero_ps();
}
inline F set1(float v) {
  return _mm256_set1_ps(v);
}
inline F load(const float* p) {
  return _mm256_loadu_ps(p);
}
inline void store(float* p, F v) {
  _mm256_storeu_ps(p, v);
}
inline F add(F a, F b) {
  return _mm256_add_ps(a, b);
}
inline F sub(F a, F b) {
  return _mm256_sub_ps(a, b);
}
inline F mul(F a, F b) {
  return _mm256_mul_ps(a, b);
}
inline F div(F a, F b) {
  return _mm256_div_ps(a, b);
}
inline F fma(F a, F b, F c) {
  return _mm256_fmadd_ps(a, b, c);
}
inline F max(F a, F b) {
  return _mm256_max_ps(a, b);
}
inline F min(F a, F b) {
  return _mm256_min_ps(a, b);
}
inline F load_half(const void* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline void store_half(void* p, F v) {
  _mm_storeu_si128(static_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
inline F load_bfloat(const void* p) {
  const I wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
// To nearest even; NaN stays NaN.
inline void store_bfloat(void* p, F v) {
  const I bits = _mm256_castps_si256(v);
  const I odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const I rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const I quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const I nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  const I all = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  _mm_storeu_si128(static_cast<__m128i*>(p),
                   _mm_packus_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1)));
}
// The dwords of [kLanes] pairs of bfloat16: the low ones and the high ones.
inline void load_bfloat_pairs(const void* p, F& low, F& high) {
  const I both = _mm256_loadu_si256(static_cast<const I*>(p));
  low = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
  high = _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32(-65536)));
}
// E4M3 as a half has the same digits with the exponent biased by 8 less: the value times 2^-8. Of
// a sign-extended code, shifted by 7, all bits but the sign's second copy are in place.
inline F load_f8_scaled(const void* p) {
  const __m128i wide = _mm_cvtepi8_epi16(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  return _mm256_cvtph_ps(_mm_and_si128(_mm_slli_epi16(wide, 7), _mm_set1_epi16(-16512)));
}
inline F load_u8(const void* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))));
}
inline F load_s8(const void* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))));
}
// Low and high nibble of each byte.
inline void load_nibbles(const void* p, F& low, F& high) {
  const I wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  low = _mm256_cvtepi32_ps(_mm256_and_si256(wide, _mm256_set1_epi32(15)));
  high = _mm256_cvtepi32_ps(_mm256_srli_epi32(wide, 4));
}
inline I first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
// The first n < kLanes elements; the others are zero.
inline F load_first(const float* p, int64_t n) {
  return _mm256_maskload_ps(p, first_lanes(n));
}
inline void store_first(float* p, F v, int64_t n) {
  _mm256_maskstore_ps(p, first_lanes(n), v);
}

inline float sum(F v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
inline float largest(F v) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
// p[i] = sum of v[i].
inline void store_sums(float* p, F a, F b, F c, F d) {
  const F all = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}

// 2^n for whole n in float's normal range.
inline F power_of_two(F n) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
// v where x >= limit (or x is NaN), else 0.
inline F zero_if_below(F v, F x, float limit) {
  return _mm256_and_ps(v, _mm256_cmp_ps(x, _mm256_set1_ps(limit), _CMP_NLT_UQ));
}
inline F round(F v) {
  return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// p[0] p[0] p[1] p[1] ..: kLanes / 2 elements.
inline F load_twice(const float* p) {
  return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)),
                                  _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}
inline F swap_pairs(F v) {
  return _mm256_permute_ps(v, 0xb1);
}
// a * b - c in even lanes, a * b + c in odd ones.
inline F fma_sub_add(F a, F b, F c) {
  return _mm256_fmaddsub_ps(a, b, c);
}
inline void prefetch(const void* p) {
  __builtin_prefetch(p);
}
// To L2: memory is so far away that L1 could not hold what is under way.
inline void prefetch_far(const void* p) {
  __builtin_prefetch(p, 0, 2);
}

// --- Codes --------------------------------------------------------------------------------------
inline I load_codes(const void* p) {
  return _mm256_loadu_si256(static_cast<const I*>(p));
}
inline void store_codes(void* p, I v) {
  _mm256_storeu_si256(static_cast<I*>(p), v);
}
inline I bits_or(I a, I b) {
  return _mm256_or_si256(a, b);
}
// (v >> kShift) & mask in each byte; a negative shift goes left. The mask keeps neighbours out.
template <int kShift>
inline I field(I v, int mask) {
  I moved = v;
  if constexpr (kShift > 0) moved = _mm256_srli_epi16(v, kShift);
  if constexpr (kShift < 0) moved = _mm256_slli_epi16(v, -kShift);
  return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(mask)));
}
// Four activation codes, to all lanes.
inline I broadcast4(const void* p) {
  int value;
  __builtin_memcpy(&value, p, sizeof value);
  return _mm256_set1_epi32(value);
}

// The compiler takes v for changed: keeps it from regrouping a sum into a tree, whose parts would
// not fit the registers.
template <typename Vector>
inline void in_order(Vector& v) {
  asm("" : "+x"(v));
}

// Running sums of code * activation, four products to a lane. maddubs adds pairs of products in
// saturating 16-bit arithmetic, so pairs are widened before they can reach 2^15:
//   4 bits: 15 * 127 * 2 = 3810 a step, eight steps; 5 bits: 7874, four; 6 bits: 16002, two.
// Whole bytes use |w| * (sign of w) x, at most 128 * 127 * 2, one step.
template <int kBits>
struct Dot {
  static constexpr int kSteps = kBits <= 4 ? 8 : kBits == 5 ? 4 : kBits == 6 ? 2 : 1;
  I pairs;
  I total;

  template <int kStep>
  void step(I codes, I x) {
    I product;
    if constexpr (kBits == 8) {
      product = _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(x, codes));
    } else {
      product = _mm256_maddubs_epi16(codes, x);
    }
    pairs = kStep % kSteps == 0 ? product : _mm256_add_epi16(pairs, product);
    in_order(pairs);
    if constexpr (kStep % kSteps == kSteps - 1) widen<kStep / kSteps == 0>();
  }
  // After `kCount` steps.
  template <int kCount>
  F done() {
    if constexpr (kCount % kSteps != 0) widen<kCount / kSteps == 0>();
    return _mm256_cvtepi32_ps(total);
  }

 private:
  template <bool kFirst>
  void widen() {
    const I wide = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    total = kFirst ? wide : _mm256_add_epi32(total, wide);
    in_order(total);
  }
};

// --- Quantising activations ----------------------------------------------------------------------
// 32 floats times `inverse`, rounded to nearest even, to bytes at q; their sums by halves.
inline void quantize32(const float* x, float inverse, void* q, int& first_half, int& second_half) {
  const F scale = _mm256_set1_ps(inverse);
  const I a = _mm256_cvtps_epi32(_mm256_mul_ps(load(x), scale));
  const I b = _mm256_cvtps_epi32(_mm256_mul_ps(load(x + 8), scale));
  const I c = _mm256_cvtps_epi32(_mm256_mul_ps(load(x + 16), scale));
  const I d = _mm256_cvtps_epi32(_mm256_mul_ps(load(x + 24), scale));
  const I bytes = _mm256_permutevar8x32_epi32(
      _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d)),
      _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(static_cast<I*>(q), bytes);
  const I pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
  const I fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  const I twos = _mm256_hadd_epi32(fours, fours);
  const I sums = _mm256_hadd_epi32(twos, twos);
  first_half = _mm256_extract_epi32(sums, 0);
  second_half = _mm256_extract_epi32(sums, 4);
}
// Largest magnitude of 32 floats; NaN if one is NaN (its bits are larger than any number's).
inline float largest_magnitude32(const float* x) {
  const I mask = _mm256_set1_epi32(0x7fffffff);
  const auto bits = [&](int64_t at) {
    return _mm256_and_si256(_mm256_castps_si256(load(x + at)), mask);
  };
  const I v =
      _mm256_max_epi32(_mm256_max_epi32(bits(0), bits(8)), _mm256_max_epi32(bits(16), bits(24)));
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
