// The AArch64 vocabulary that the templates in kernels/simd are written in: 8 floats, or 32 code
// bytes, in two registers, so that panels look as they do for AVX2 and a broadcast serves both.
// Needs nothing beyond ARMv8.0; with FEAT_DotProd (-march=..+dotprod) the products of codes take
// sdot. Included by the files of this folder only, which name the namespace first.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace fathom::FATHOM_SIMD_NAMESPACE {

struct F {
  float32x4_t a, b;
};
struct I {
  int8x16_t a, b;
};
inline constexpr int kLanes = 8;
inline constexpr bool kUnsigned8 = false;
inline constexpr int kCodeRows = 4;    // eight code vectors in 16 registers, four sums in 8
inline constexpr int kRowChains = 1;   // rows whose sums are computed side by side
inline constexpr bool kExpand = true;  // for many rows: simd/expanded_matmul.h
inline constexpr int kWideRows = 2;    // by two panels: what the compiler keeps in registers
#if defined(__ARM_FEATURE_MATMUL_INT8)
inline constexpr bool kRowPairs = true;  // neon/row_pairs.h
#else
inline constexpr bool kRowPairs = false;
#endif
inline constexpr int kFloatRows = 6;      // 24 registers of sums
inline constexpr int kAttentionRows = 2;  // by four tokens or vectors: 16 registers of sums

// --- Floats -----------------------------------------------------------------------------------
inline F both(float32x4_t v) {
  return {v, v};
}
inline F set1(float v) {
  return both(vdupq_n_f32(v));
}
inline F zero() {
  return set1(0.0F);
}
inline F load(const float* p) {
  return {vld1q_f32(p), vld1q_f32(p + 4)};
}
inline void store(float* p, F v) {
  vst1q_f32(p, v.a);
  vst1q_f32(p + 4, v.b);
}
inline F add(F x, F y) {
  return {vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b)};
}
inline F sub(F x, F y) {
  return {vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b)};
}
inline F mul(F x, F y) {
  return {vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b)};
}
inline F div(F x, F y) {
  return {vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b)};
}
inline F fma(F x, F y, F z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b)};
}
inline F max(F x, F y) {
  return {vmaxq_f32(x.a, y.a), vmaxq_f32(x.b, y.b)};
}
inline F min(F x, F y) {
  return {vminq_f32(x.a, y.a), vminq_f32(x.b, y.b)};
}
inline F widen_halves(uint16x8_t halves) {
  return {vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(halves))),
          vcvt_f32_f16(vreinterpret_f16_u16(vget_high_u16(halves)))};
}
inline F load_half(const void* p) {
  return widen_halves(vreinterpretq_u16_u8(vld1q_u8(static_cast<const uint8_t*>(p))));
}
inline void store_half(void* p, F v) {
  const uint16x8_t halves = vcombine_u16(vreinterpret_u16_f16(vcvt_f16_f32(v.a)),
                                         vreinterpret_u16_f16(vcvt_f16_f32(v.b)));
  vst1q_u8(static_cast<uint8_t*>(p), vreinterpretq_u8_u16(halves));
}
inline F load_bfloat(const void* p) {
  const uint16x8_t bits = vreinterpretq_u16_u8(vld1q_u8(static_cast<const uint8_t*>(p)));
  return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(bits), 16)),
          vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(bits), 16))};
}
// To nearest even; NaN stays NaN.
inline void store_bfloat(void* p, F v) {
  const auto narrow = [](float32x4_t x) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16);
  };
  vst1q_u8(static_cast<uint8_t*>(p), vreinterpretq_u8_u16(vcombine_u16(narrow(v.a), narrow(v.b))));
}
// The dwords of [kLanes] pairs of bfloat16: the low ones and the high ones.
inline void load_bfloat_pairs(const void* p, F& low, F& high) {
  const auto* bytes = static_cast<const uint8_t*>(p);
  const uint32x4_t mask = vdupq_n_u32(0xffff0000U);
  const uint32x4_t first = vreinterpretq_u32_u8(vld1q_u8(bytes));
  const uint32x4_t second = vreinterpretq_u32_u8(vld1q_u8(bytes + 16));
  low = {vreinterpretq_f32_u32(vshlq_n_u32(first, 16)),
         vreinterpretq_f32_u32(vshlq_n_u32(second, 16))};
  high = {vreinterpretq_f32_u32(vandq_u32(first, mask)),
          vreinterpretq_f32_u32(vandq_u32(second, mask))};
}
// E4M3 as a half has the same digits with the exponent biased by 8 less: the value times 2^-8. Of
// a sign-extended code, shifted by 7, all bits but the sign's second copy are in place.
inline F load_f8_scaled(const void* p) {
  const int16x8_t wide = vmovl_s8(vld1_s8(static_cast<const int8_t*>(p)));
  const uint16x8_t moved = vreinterpretq_u16_s16(vshlq_n_s16(wide, 7));
  return widen_halves(vandq_u16(moved, vdupq_n_u16(0xbf80)));
}
inline F from_u8(uint8x8_t v) {
  const uint16x8_t wide = vmovl_u8(v);
  return {vcvtq_f32_u32(vmovl_u16(vget_low_u16(wide))),
          vcvtq_f32_u32(vmovl_u16(vget_high_u16(wide)))};
}
inline F load_u8(const void* p) {
  return from_u8(vld1_u8(static_cast<const uint8_t*>(p)));
}
inline F load_s8(const void* p) {
  const int16x8_t wide = vmovl_s8(vld1_s8(static_cast<const int8_t*>(p)));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))),
          vcvtq_f32_s32(vmovl_s16(vget_high_s16(wide)))};
}
// Low and high nibble of each byte.
inline void load_nibbles(const void* p, F& low, F& high) {
  const uint8x8_t bytes = vld1_u8(static_cast<const uint8_t*>(p));
  low = from_u8(vand_u8(bytes, vdup_n_u8(15)));
  high = from_u8(vshr_n_u8(bytes, 4));
}
// The first n < kLanes elements; the others are zero.
inline F load_first(const float* p, int64_t n) {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
inline void store_first(float* p, F v, int64_t n) {
  float lanes[kLanes];
  store(lanes, v);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}

inline float sum(F v) {
  return vaddvq_f32(vaddq_f32(v.a, v.b));
}
inline float largest(F v) {
  return vmaxvq_f32(vmaxq_f32(v.a, v.b));
}
// p[0..3] = the sums of w, x, y, z.
inline void store_sums(float* p, F w, F x, F y, F z) {
  const auto half = [](F v) { return vaddq_f32(v.a, v.b); };
  vst1q_f32(p, vpaddq_f32(vpaddq_f32(half(w), half(x)), vpaddq_f32(half(y), half(z))));
}

// 2^n for whole n in float's normal range.
inline F power_of_two(F n) {
  const auto power = [](float32x4_t v) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(v), vdupq_n_s32(127)), 23));
  };
  return {power(n.a), power(n.b)};
}
// v where x >= limit (or x is NaN), else 0.
inline F zero_if_below(F v, F x, float limit) {
  const auto keep = [limit](float32x4_t from, float32x4_t by) {
    const uint32x4_t below = vcltq_f32(by, vdupq_n_f32(limit));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(from), below));
  };
  return {keep(v.a, x.a), keep(v.b, x.b)};
}
inline F round(F v) {
  return {vrndnq_f32(v.a), vrndnq_f32(v.b)};
}
// p[0] p[0] p[1] p[1] ..: kLanes / 2 elements.
inline F load_twice(const float* p) {
  const float32x4_t v = vld1q_f32(p);
  return {vzip1q_f32(v, v), vzip2q_f32(v, v)};
}
inline F swap_pairs(F v) {
  return {vrev64q_f32(v.a), vrev64q_f32(v.b)};
}
// x * y - z in even lanes, x * y + z in odd ones.
inline F fma_sub_add(F x, F y, F z) {
  const uint32x4_t even_signs = vreinterpretq_u32_u64(vdupq_n_u64(0x80000000U));
  const auto flip = [even_signs](float32x4_t v) {
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(v), even_signs));
  };
  return fma(x, y, {flip(z.a), flip(z.b)});
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
  const auto* bytes = static_cast<const int8_t*>(p);
  return {vld1q_s8(bytes), vld1q_s8(bytes + 16)};
}
inline void store_codes(void* p, I v) {
  auto* bytes = static_cast<int8_t*>(p);
  vst1q_s8(bytes, v.a);
  vst1q_s8(bytes + 16, v.b);
}
inline I bits_or(I x, I y) {
  return {vorrq_s8(x.a, y.a), vorrq_s8(x.b, y.b)};
}
// (v >> kShift) & mask in each byte; a negative shift goes left.
template <int kShift>
inline I field(I v, int mask) {
  const auto of = [mask](int8x16_t bytes) {
    uint8x16_t moved = vreinterpretq_u8_s8(bytes);
    if constexpr (kShift > 0) moved = vshrq_n_u8(moved, kShift);
    if constexpr (kShift < 0) moved = vshlq_n_u8(moved, -kShift);
    return vreinterpretq_s8_u8(vandq_u8(moved, vdupq_n_u8(static_cast<uint8_t>(mask))));
  };
  return {of(v.a), of(v.b)};
}
// Four activation codes, to all lanes.
inline I broadcast4(const void* p) {
  int32_t value;
  __builtin_memcpy(&value, p, sizeof value);
  const int8x16_t all = vreinterpretq_s8_s32(vdupq_n_s32(value));
  return {all, all};
}

// The compiler takes v for changed: keeps it from moving or merging what computes it.
inline void in_order(F& v) {
  asm("" : "+w"(v.a), "+w"(v.b));
}
inline void in_order(I& v) {
  asm("" : "+w"(v.a), "+w"(v.b));
}

#if defined(__ARM_FEATURE_DOTPROD)
// Running sums of code * activation, four products to a lane, exact in 32 bits.
template <int kBits>
struct Dot {
  int32x4_t a, b;

  template <int kStep>
  void step(I codes, I x) {
    if constexpr (kStep == 0) a = b = vdupq_n_s32(0);
    a = vdotq_s32(a, codes.a, x.a);
    b = vdotq_s32(b, codes.b, x.b);
  }
  template <int kCount>
  F done() {
    return {vcvtq_f32_s32(a), vcvtq_f32_s32(b)};
  }
};
#else
// Running sums of code * activation. Products are added in 16 bits, four sums to a lane, as long as
// that is exact, then in 32:
//   5 bits: 31 * 127 * 8 steps = 31496; 6 bits: 63 * 127 * 4 = 32004; 8 bits: 128 * 127 * 2 =
//   32512.
template <int kBits>
struct Dot {
  static constexpr int kSteps = kBits <= 5 ? 8 : kBits == 6 ? 4 : 2;
  int16x8_t products[4];  // of two lanes each
  int32x4_t a, b;

  template <int kStep>
  void step(I codes, I x) {
    if constexpr (kStep % kSteps == 0) {
      products[0] = vmull_s8(vget_low_s8(codes.a), vget_low_s8(x.a));
      products[1] = vmull_high_s8(codes.a, x.a);
      products[2] = vmull_s8(vget_low_s8(codes.b), vget_low_s8(x.b));
      products[3] = vmull_high_s8(codes.b, x.b);
    } else {
      products[0] = vmlal_s8(products[0], vget_low_s8(codes.a), vget_low_s8(x.a));
      products[1] = vmlal_high_s8(products[1], codes.a, x.a);
      products[2] = vmlal_s8(products[2], vget_low_s8(codes.b), vget_low_s8(x.b));
      products[3] = vmlal_high_s8(products[3], codes.b, x.b);
    }
    if constexpr (kStep % kSteps == kSteps - 1) widen<kStep / kSteps == 0>();
  }
  // After `kCount` steps.
  template <int kCount>
  F done() {
    if constexpr (kCount % kSteps != 0) widen<kCount / kSteps == 0>();
    return {vcvtq_f32_s32(a), vcvtq_f32_s32(b)};
  }

 private:
  template <bool kFirst>
  void widen() {
    const int32x4_t first = vpaddq_s32(vpaddlq_s16(products[0]), vpaddlq_s16(products[1]));
    const int32x4_t second = vpaddq_s32(vpaddlq_s16(products[2]), vpaddlq_s16(products[3]));
    a = kFirst ? first : vaddq_s32(a, first);
    b = kFirst ? second : vaddq_s32(b, second);
  }
};
#endif

// --- Quantising activations ----------------------------------------------------------------------
// 16 floats times `inverse`, rounded to nearest even, to bytes at q; returns their sum.
inline int quantize16(const float* x, float32x4_t inverse, int8_t* q) {
  const auto four = [&](int64_t at) {
    return vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(vld1q_f32(x + at), inverse)));
  };
  const int8x16_t bytes = vcombine_s8(vqmovn_s16(vcombine_s16(four(0), four(4))),
                                      vqmovn_s16(vcombine_s16(four(8), four(12))));
  vst1q_s8(q, bytes);
  return vaddlvq_s8(bytes);
}
// 32 floats times `inverse`, rounded to nearest even, to bytes at q; their sums by halves.
inline void quantize32(const float* x, float inverse, void* q, int& first_half, int& second_half) {
  auto* bytes = static_cast<int8_t*>(q);
  const float32x4_t scale = vdupq_n_f32(inverse);
  first_half = quantize16(x, scale, bytes);
  second_half = quantize16(x + 16, scale, bytes + 16);
}
// Largest magnitude of 32 floats; NaN if one is NaN (its bits are larger than any number's).
inline float largest_magnitude32(const float* x) {
  uint32x4_t most = vdupq_n_u32(0);
  for (int64_t i = 0; i < 32; i += 4) {
    most = vmaxq_u32(most, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + i))));
  }
  const uint32_t bits = vmaxvq_u32(most);
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
