// The AVX-512 (F, BW, VL, DQ, VNNI) vocabulary that the templates in kernels/simd are written in:
// 16 floats, or 64 code bytes, in a vector. Included by this folder, and by a test that defines
// FATHOM_AVX512_EMULATED and a namespace of its own to run the same code on any CPU.
#pragma once

#ifndef FATHOM_AVX512_EMULATED
// GCC 12 takes its own undefined operands for mistakes (its bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

#define FATHOM_SIMD_NAMESPACE avx512
#endif

#include <cstdint>

namespace fathom::FATHOM_SIMD_NAMESPACE {

using F = __m512;
using I = __m512i;
inline constexpr int kLanes = 16;
inline constexpr bool kUnsigned8 = true;  // dpbusd multiplies unsigned by signed bytes
inline constexpr int kCodeRows = 8;       // eight code vectors, sixteen sums, in 32 registers
inline constexpr int kRowChains = 4;      // rows whose sums are computed side by side
inline constexpr bool kExpand = false;    // dpbusd broadcasts its operand itself
inline constexpr int kWideRows = 8;
inline constexpr bool kRowPairs = false;  // simd/row_dots.h
inline constexpr int kFloatRows = 8;      // sixteen sums
inline constexpr int kAttentionRows = 4;  // by four tokens or vectors: sixteen sums

// --- Floats -----------------------------------------------------------------------------------
inline F zero() {
  return _mm512_setzero_ps();
}
inline F set1(float v) {
  return _mm512_set1_ps(v);
}
inline F load(const float* p) {
  return _mm512_loadu_ps(p);
}
inline void store(float* p, F v) {
  _mm512_storeu_ps(p, v);
}
inline F add(F a, F b) {
  return _mm512_add_ps(a, b);
}
inline F sub(F a, F b) {
  return _mm512_sub_ps(a, b);
}
inline F mul(F a, F b) {
  return _mm512_mul_ps(a, b);
}
inline F div(F a, F b) {
  return _mm512_div_ps(a, b);
}
inline F fma(F a, F b, F c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline F max(F a, F b) {
  return _mm512_max_ps(a, b);
}
inline F min(F a, F b) {
  return _mm512_min_ps(a, b);
}
inline F load_half(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
inline void store_half(void* p, F v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtps_ph(v, 0));  // 0: to nearest even
}
inline F load_bfloat(const void* p) {
  const I wide = _mm512_cvtepi16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
// To nearest even; NaN stays NaN.
inline void store_bfloat(void* p, F v) {
  const I bits = _mm512_castps_si512(v);
  const I odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const I rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const I quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const I all = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), quiet);
  _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtsepi32_epi16(_mm512_srai_epi32(all, 16)));
}
// The dwords of [kLanes] pairs of bfloat16: the low ones and the high ones.
inline void load_bfloat_pairs(const void* p, F& low, F& high) {
  const I both = _mm512_loadu_si512(p);
  low = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
  high = _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32(-65536)));
}
// E4M3 as a half has the same digits with the exponent biased by 8 less: the value times 2^-8. Of
// a sign-extended code, shifted by 7, all bits but the sign's second copy are in place.
inline F load_f8_scaled(const void* p) {
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  return _mm512_cvtph_ps(_mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(-16512)));
}
inline F load_u8(const void* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
}
inline F load_s8(const void* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
}
// Low and high nibble of each byte.
inline void load_nibbles(const void* p, F& low, F& high) {
  const I wide = _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  low = _mm512_cvtepi32_ps(_mm512_and_si512(wide, _mm512_set1_epi32(15)));
  high = _mm512_cvtepi32_ps(_mm512_srli_epi32(wide, 4));
}
inline uint16_t first_lanes(int64_t n) {
  return static_cast<uint16_t>((1U << n) - 1U);
}
// The first n < kLanes elements; the others are zero.
inline F load_first(const float* p, int64_t n) {
  return _mm512_maskz_loadu_ps(first_lanes(n), p);
}
inline void store_first(float* p, F v, int64_t n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), v);
}

inline __m256 upper_half(F v) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
}
inline __m256 add_halves(F v) {
  return _mm256_add_ps(_mm512_castps512_ps256(v), upper_half(v));
}
inline float sum(F v) {
  const __m256 half = add_halves(v);
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
inline float largest(F v) {
  const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(v), upper_half(v));
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
// p[0..3] = the sums of a, b, c, d.
inline void store_sums(float* p, F a, F b, F c, F d) {
  const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(add_halves(a), add_halves(b)),
                                    _mm256_hadd_ps(add_halves(c), add_halves(d)));
  _mm_storeu_ps(p, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}

// 2^n for whole n in float's normal range.
inline F power_of_two(F n) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}
// v where x >= limit (or x is NaN), else 0.
inline F zero_if_below(F v, F x, float limit) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(limit), _CMP_NLT_UQ), v);
}
inline F round(F v) {
  return _mm512_roundscale_ps(v, 8);  // to nearest even, no exception
}
// p[0] p[0] p[1] p[1] ..: kLanes / 2 elements.
inline F load_twice(const float* p) {
  return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7),
                               _mm512_castps256_ps512(_mm256_loadu_ps(p)));
}
inline F swap_pairs(F v) {
  return _mm512_shuffle_ps(v, v, 0xb1);
}
// a * b - c in even lanes, a * b + c in odd ones.
inline F fma_sub_add(F a, F b, F c) {
  return _mm512_fmaddsub_ps(a, b, c);
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
  return _mm512_loadu_si512(p);
}
inline void store_codes(void* p, I v) {
  _mm512_storeu_si512(p, v);
}
inline I bits_or(I a, I b) {
  return _mm512_or_si512(a, b);
}
// (v >> kShift) & mask in each byte; a negative shift goes left. The mask keeps neighbours out.
template <int kShift>
inline I field(I v, int mask) {
  I moved = v;
  if constexpr (kShift > 0) moved = _mm512_srli_epi16(v, kShift);
  if constexpr (kShift < 0) moved = _mm512_slli_epi16(v, -kShift);
  return _mm512_and_si512(moved, _mm512_set1_epi8(static_cast<char>(mask)));
}
// Four activation codes, to all lanes.
inline I broadcast4(const void* p) {
  int value;
  __builtin_memcpy(&value, p, sizeof value);
  return _mm512_set1_epi32(value);
}

// The compiler takes v for changed: keeps it from moving or merging what computes it.
template <typename Vector>
inline void in_order(Vector& v) {
#ifdef FATHOM_AVX512_EMULATED
  asm("" : "+m"(v));
#else
  asm("" : "+v"(v));
#endif
}

// Running sums of code * activation, four products to a lane, exact in 32 bits.
template <int kBits>
struct Dot {
  I total;

  template <int kStep>
  void step(I codes, I x) {
    total = _mm512_dpbusd_epi32(kStep == 0 ? _mm512_setzero_si512() : total, codes, x);
  }
  template <int kCount>
  F done() {
    return _mm512_cvtepi32_ps(total);
  }
};

// --- Quantising activations ----------------------------------------------------------------------
// 32 floats times `inverse`, rounded to nearest even, to bytes at q; their sums by halves.
inline void quantize32(const float* x, float inverse, void* q, int& first_half, int& second_half) {
  const F scale = _mm512_set1_ps(inverse);
  const __m128i a = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(load(x), scale)));
  const __m128i b = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(load(x + 16), scale)));
  _mm_storeu_si128(static_cast<__m128i*>(q), a);
  _mm_storeu_si128(static_cast<__m128i*>(q) + 1, b);
  const auto sum_of = [](__m128i bytes) {
    const __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi8(1), bytes);
    const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi16(1));
    const __m128i twos = _mm_add_epi32(fours, _mm_shuffle_epi32(fours, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(twos, _mm_shuffle_epi32(twos, 0xb1)));
  };
  first_half = sum_of(a);
  second_half = sum_of(b);
}
// Largest magnitude of 32 floats; NaN if one is NaN (its bits are larger than any number's).
inline float largest_magnitude32(const float* x) {
  const I mask = _mm512_set1_epi32(0x7fffffff);
  const I v = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(load(x)), mask),
                               _mm512_and_si512(_mm512_castps_si512(load(x + 16)), mask));
  const __m256i half = _mm256_max_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
