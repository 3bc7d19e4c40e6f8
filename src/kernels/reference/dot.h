// Dot products in a fixed order: eight running sums, added up at the end. One row or four at a
// time gives bitwise the same sums, and eight lanes let the compiler vectorise without -ffast-math.
#pragma once

#include <cstdint>

namespace fathom::reference {

inline constexpr int kLanes = 8;

inline float add_lanes(const float (&sum)[kLanes]) {
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

// out[r] = a . b[r] for r < kRows.
template <int kRows>
inline void dot(const float* a, const float* const (&b)[kRows], int64_t n, float (&out)[kRows]) {
  float sum[kRows][kLanes] = {};
  const int64_t whole = n / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int r = 0; r < kRows; ++r) {
      for (int lane = 0; lane < kLanes; ++lane) sum[r][lane] += a[i + lane] * b[r][i + lane];
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int64_t i = whole; i < n; ++i) sum[r][i - whole] += a[i] * b[r][i];
    out[r] = add_lanes(sum[r]);
  }
}

inline float dot(const float* a, const float* b, int64_t n) {
  const float* const rows[1] = {b};
  float out[1];
  dot<1>(a, rows, n, out);
  return out[0];
}

}  // namespace fathom::reference
