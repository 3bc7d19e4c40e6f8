// The AVX-512 kernels once more, with SIMDe's portable versions of the intrinsics, so that their
// algorithms are tested on machines without AVX-512, and those with tiles, on emulated tiles. Where
// this SIMDe lacks an intrinsic it is spelled out below, from its description in Intel's guide.
#include "kernels/kernels_under_test.h"

// (clang 19 has types of its own that clash with those of SIMDe 0.7.4.)
#if __has_include(<simde/x86/avx512.h>) && defined(__x86_64__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>
#pragma GCC diagnostic warning "-Wshadow"

#include <cmath>
#include <cstring>

#include "tensor/dequantize.h"

namespace fathom::avx512_emulated {
namespace {

template <typename To, typename From>
To bits_as(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}
struct Floats {
  float at[16];
};
struct Ints {
  int32_t at[16];
};
struct Halves {
  uint16_t at[16];
};
struct Bytes {
  uint8_t at[16];
};

simde__m512 half_to_floats(simde__m256i v) {
  const auto from = bits_as<Halves>(v);
  Floats to;
  for (int i = 0; i < 16; ++i) to.at[i] = half_to_float(from.at[i]);
  return bits_as<simde__m512>(to);
}
simde__m256i floats_to_half(simde__m512 v) {
  const auto from = bits_as<Floats>(v);
  Halves to;
  for (int i = 0; i < 16; ++i) to.at[i] = float_to_half(from.at[i]);
  return bits_as<simde__m256i>(to);
}
simde__m512 ints_to_floats(simde__m512i v) {
  const auto from = bits_as<Ints>(v);
  Floats to;
  for (int i = 0; i < 16; ++i) to.at[i] = static_cast<float>(from.at[i]);
  return bits_as<simde__m512>(to);
}
simde__m512i floats_to_ints(simde__m512 v) {
  const auto from = bits_as<Floats>(v);
  Ints to;
  for (int i = 0; i < 16; ++i) {
    const bool fits = std::abs(from.at[i]) < 2147483648.0F;  // false for NaN
    to.at[i] = fits ? static_cast<int32_t>(std::nearbyint(from.at[i])) : INT32_MIN;
  }
  return bits_as<simde__m512i>(to);
}
template <typename Byte>
simde__m512i widen_bytes(simde__m128i v) {
  const auto from = bits_as<Bytes>(v);
  Ints to;
  for (int i = 0; i < 16; ++i) to.at[i] = static_cast<Byte>(from.at[i]);
  return bits_as<simde__m512i>(to);
}
simde__m512i widen_words(simde__m256i v) {
  const auto from = bits_as<Halves>(v);
  Ints to;
  for (int i = 0; i < 16; ++i) to.at[i] = static_cast<int16_t>(from.at[i]);
  return bits_as<simde__m512i>(to);
}
simde__m512i shift_right(simde__m512i v, int bits) {
  auto ints = bits_as<Ints>(v);
  for (int32_t& i : ints.at) i >>= bits;
  return bits_as<simde__m512i>(ints);
}
simde__m512 load_where(unsigned mask, const float* p) {
  Floats to;
  for (int i = 0; i < 16; ++i) to.at[i] = (mask >> i & 1U) != 0 ? p[i] : 0.0F;
  return bits_as<simde__m512>(to);
}
void store_where(float* p, unsigned mask, simde__m512 v) {
  const auto from = bits_as<Floats>(v);
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1U) != 0) p[i] = from.at[i];
  }
}
simde__m512 multiply_sub_add(simde__m512 a, simde__m512 b, simde__m512 c) {
  const auto x = bits_as<Floats>(a);
  const auto y = bits_as<Floats>(b);
  const auto z = bits_as<Floats>(c);
  Floats to;
  for (int i = 0; i < 16; ++i) {
    to.at[i] = std::fma(x.at[i], y.at[i], i % 2 == 0 ? -z.at[i] : z.at[i]);
  }
  return bits_as<simde__m512>(to);
}

}  // namespace
}  // namespace fathom::avx512_emulated

#undef _mm512_cvtph_ps
#undef _mm512_cvtps_ph
#define _mm512_cvtph_ps(a) half_to_floats(a)
#define _mm512_cvtps_ph(a, rounding) floats_to_half(a)
#define _mm512_cvtepi32_ps(a) ints_to_floats(a)
#define _mm512_cvtps_epi32(a) floats_to_ints(a)
#define _mm512_cvtepu8_epi32(a) widen_bytes<uint8_t>(a)
#define _mm512_cvtepi8_epi32(a) widen_bytes<int8_t>(a)
#define _mm512_cvtepi16_epi32(a) widen_words(a)
#define _mm512_srai_epi32(a, bits) shift_right(a, bits)
#define _mm512_maskz_loadu_ps(mask, p) load_where(mask, p)
#define _mm512_mask_storeu_ps(p, mask, v) store_where(p, mask, v)
#define _mm512_fmaddsub_ps(a, b, c) multiply_sub_add(a, b, c)

#define FATHOM_AVX512_EMULATED
#define FATHOM_SIMD_NAMESPACE avx512_emulated
#include "kernels/avx512/simd.h"
//
#include "kernels/amx/tile_matmul.h"
#include "kernels/emulated_tiles.h"
#include "kernels/simd/make_ops.h"

namespace fathom::testing {
const VectorOps* emulated_avx512_ops() {
  static constexpr VectorOps kOps = avx512_emulated::make_ops("avx512-emulated");
  return &kOps;
}

const VectorOps* emulated_amx_ops() {
  static constexpr VectorOps kOps = [] {
    VectorOps ops = avx512_emulated::make_ops("amx-emulated");
    ops.matmul = [](int dtype, const MatmulTile& tile) {
      avx512_emulated::matmul_with_tiles<EmulatedTiles>(dtype, tile, avx512_emulated::matmul);
    };
    return ops;
  }();
  return &kOps;
}
}  // namespace fathom::testing
#else
namespace fathom::testing {
const VectorOps* emulated_amx_ops() {
  return nullptr;
}
const VectorOps* emulated_avx512_ops() {
  return nullptr;
}
}  // namespace fathom::testing
#endif
