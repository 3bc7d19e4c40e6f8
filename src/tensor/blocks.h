// The byte layouts of the block formats (ggml-common.h is the specification), little-endian, no
// padding. Fields are bytes so that a block may lie at any address of a mapped file.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "tensor/dtype.h"

namespace fathom::blocks {

// An IEEE half as two bytes.
using Half = std::array<uint8_t, 2>;

inline uint16_t bits(Half half) {
  return static_cast<uint16_t>(half[0] | (half[1] << 8));
}

// 32 elements: d * (q - 8), element i in the low nibble of qs[i], i + 16 in its high nibble.
struct Q4_0 {
  Half d;
  std::array<uint8_t, 16> qs;
};

// 32 elements: d * q + m.
struct Q4_1 {
  Half d, m;
  std::array<uint8_t, 16> qs;
};

// 32 elements: d * (q - 16); bit i of qh is the fifth bit of element i.
struct Q5_0 {
  Half d;
  std::array<uint8_t, 4> qh;
  std::array<uint8_t, 16> qs;
};

// 32 elements: d * q + m.
struct Q5_1 {
  Half d, m;
  std::array<uint8_t, 4> qh;
  std::array<uint8_t, 16> qs;
};

// 32 elements: d * q.
struct Q8_0 {
  Half d;
  std::array<int8_t, 32> qs;
};

// 256 elements in 16 groups of 16: d * scale * q - dmin * min; scale in the low nibble.
struct Q2_K {
  std::array<uint8_t, 16> scales;
  std::array<uint8_t, 64> qs;
  Half d, dmin;
};

// 256 elements in 16 groups of 16: d * (scale - 32) * (q - 4), q's third bit in hmask.
struct Q3_K {
  std::array<uint8_t, 32> hmask;
  std::array<uint8_t, 64> qs;
  std::array<uint8_t, 12> scales;  // 16 of 6 bits
  Half d;
};

// 256 elements in 8 groups of 32: d * scale * q - dmin * min.
struct Q4_K {
  Half d, dmin;
  std::array<uint8_t, 12> scales;  // 8 scales and 8 mins of 6 bits
  std::array<uint8_t, 128> qs;
};

struct Q5_K {
  Half d, dmin;
  std::array<uint8_t, 12> scales;
  std::array<uint8_t, 32> qh;
  std::array<uint8_t, 128> qs;
};

// 256 elements in 16 groups of 16: d * scale * (q - 32).
struct Q6_K {
  std::array<uint8_t, 128> ql;
  std::array<uint8_t, 64> qh;
  std::array<int8_t, 16> scales;
  Half d;
};

// The groups of I4 and I8 (dtype.h), which are ours: element 2i in the low nibble of qs[i], 2i + 1
// in its high one.
template <size_t kElements>
struct Int4 {  // d * (q - 8)
  Half d;
  std::array<uint8_t, kElements / 2> qs;
};
template <size_t kElements>
struct Int4Zero {  // d * (q - zero), zero in 0 .. 15
  Half d;
  uint8_t zero;
  std::array<uint8_t, kElements / 2> qs;
};
template <size_t kElements>
struct Int8 {  // d * q
  Half d;
  std::array<int8_t, kElements> qs;
};
struct Int8Row {  // q; the row's scale is elsewhere
  std::array<int8_t, 32> qs;
};

static_assert(sizeof(Int4<128>) == 66 && sizeof(Int4Zero<32>) == 19 && sizeof(Int8<128>) == 130);
static_assert(sizeof(Q4_0) == 18 && sizeof(Q4_1) == 20 && sizeof(Q5_0) == 22);
static_assert(sizeof(Q5_1) == 24 && sizeof(Q8_0) == 34 && sizeof(Q2_K) == 84);
static_assert(sizeof(Q3_K) == 110 && sizeof(Q4_K) == 144 && sizeof(Q5_K) == 176);
static_assert(sizeof(Q6_K) == 210 && alignof(Q6_K) == 1 && alignof(Q4_K) == 1);

// Scale and min of group j (0..7) of the 12 packed bytes of Q4_K and Q5_K.
struct ScaleMin {
  int scale, min;
};
inline ScaleMin unpack_k4(const std::array<uint8_t, 12>& packed, size_t j) {
  if (j < 4) return {packed[j] & 63, packed[j + 4] & 63};
  return {(packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4),
          (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4)};
}

// Scale of group j (0..15) of the 12 packed bytes of Q3_K, still offset by 32.
inline int unpack_q3(const std::array<uint8_t, 12>& packed, size_t j) {
  const int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
  const int high = (packed[8 + j % 4] >> (2 * (j / 4))) & 3;
  return low | (high << 4);
}

}  // namespace fathom::blocks
