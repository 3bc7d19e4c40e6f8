// Products of F32 activations with F32, F16, BF16 and FP8 panels, accumulated in F32 in the order
// of K, whatever the number of rows. FP8 sums 128 of K before it applies their scale.
#pragma once

#include "kernels/packed/vector_ops.h"
#include "kernels/simd/code_matmul.h"
#include "kernels/simd/unroll.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

enum class FloatType { kF32, kF16, kBF16, kF8 };

template <FloatType kType>
inline constexpr int kElementBytes = kType == FloatType::kF32  ? 4
                                     : kType == FloatType::kF8 ? 1
                                                               : 2;

// The 2 * kLanes weights of one k.
template <FloatType kType>
inline void load_weights(const std::byte* p, F& a, F& b) {
  if constexpr (kType == FloatType::kF32) {
    a = load(reinterpret_cast<const float*>(p));
    b = load(reinterpret_cast<const float*>(p) + kLanes);
  } else if constexpr (kType == FloatType::kF16) {
    a = load_half(p);
    b = load_half(p + 2 * kLanes);
  } else if constexpr (kType == FloatType::kBF16) {
    load_bfloat_pairs(p, a, b);
  } else {
    a = load_f8_scaled(p);
    b = load_f8_scaled(p + kLanes);
  }
}

// kRows rows by kPanels neighbouring panels.
template <FloatType kType, int kRows, int kPanels>
void multiply_floats(const MatmulTile& tile, int64_t row, int64_t first_panel) {
  constexpr int kStep = kElementBytes<kType> * 2 * kLanes;
  const float* x[kRows];
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) x[r] = static_cast<const float*>(tile.x[row + r]);
  const std::byte* panel[kPanels];
  F acc[kPanels][kRows][2];
  F total[kPanels][kRows][2];
  FATHOM_UNROLL
  for (int p = 0; p < kPanels; ++p) {
    panel[p] = tile.panels + (first_panel + p) * tile.panel_bytes;
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) {
      acc[p][r][0] = acc[p][r][1] = total[p][r][0] = total[p][r][1] = zero();
    }
  }
  const auto add_columns = [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      FATHOM_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        F a, b;
        load_weights<kType>(panel[p] + k * kStep, a, b);
        FATHOM_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const F broadcast = set1(x[r][k]);
          acc[p][r][0] = fma(broadcast, a, acc[p][r][0]);
          acc[p][r][1] = fma(broadcast, b, acc[p][r][1]);
        }
      }
    }
  };
  if constexpr (kType == FloatType::kF8) {
    for (int64_t begin = 0; begin < tile.in; begin += 128) {
      add_columns(begin, begin + 128 < tile.in ? begin + 128 : tile.in);
      FATHOM_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        const auto* scales = reinterpret_cast<const float*>(panel[p] + tile.scale_offset);
        // 2^8: what load_f8_scaled leaves out.
        const F scale = set1(scales[begin / 128] * 256.0F);
        FATHOM_UNROLL
        for (int r = 0; r < kRows; ++r) {
          total[p][r][0] = fma(acc[p][r][0], scale, total[p][r][0]);
          total[p][r][1] = fma(acc[p][r][1], scale, total[p][r][1]);
          acc[p][r][0] = acc[p][r][1] = zero();
        }
      }
    }
  } else {
    add_columns(0, tile.in);
  }
  FATHOM_UNROLL
  for (int p = 0; p < kPanels; ++p) {
    const int64_t output = (first_panel + p) * 2 * kLanes;
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const F* result = kType == FloatType::kF8 ? total[p][r] : acc[p][r];
      float* y = tile.y[row + r] + output;
      store_outputs(y, result[0], tile.outputs - output);
      if (tile.outputs - output > kLanes) {
        store_outputs(y + kLanes, result[1], tile.outputs - output - kLanes);
      }
    }
  }
}

template <FloatType kType, int kRows>
void multiply_float_rows(const MatmulTile& tile, int64_t row) {
  // Few rows leave too few sums to hide the latency of their additions: take panels together.
  constexpr int kPanels = kRows == 1 ? 4 : kRows == 2 ? 2 : 1;
  int64_t panel = 0;
  for (; panel + kPanels <= tile.panel_count; panel += kPanels) {
    multiply_floats<kType, kRows, kPanels>(tile, row, panel);
  }
  if constexpr (kPanels > 1) {
    for (; panel < tile.panel_count; ++panel) multiply_floats<kType, kRows, 1>(tile, row, panel);
  }
}

// kRows rows by one panel of one vector. Even and odd columns have sums of their own, for all
// numbers of rows alike.
template <FloatType kType, int kRows>
void multiply_narrow(const MatmulTile& tile, int64_t row) {
  constexpr int kStep = kElementBytes<kType> * kLanes;
  const auto weights = [&](int64_t k) {
    const std::byte* p = tile.panels + k * kStep;
    if constexpr (kType == FloatType::kF32) {
      return load(reinterpret_cast<const float*>(p));
    } else {
      return load_half(p);
    }
  };
  const float* x[kRows];
  F even[kRows];
  F odd[kRows];
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    x[r] = static_cast<const float*>(tile.x[row + r]);
    even[r] = odd[r] = zero();
  }
  int64_t k = 0;
  for (; k + 2 <= tile.in; k += 2) {
    const F a = weights(k);
    const F b = weights(k + 1);
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) {
      even[r] = fma(set1(x[r][k]), a, even[r]);
      odd[r] = fma(set1(x[r][k + 1]), b, odd[r]);
    }
  }
  if (k < tile.in) {
    const F a = weights(k);
    FATHOM_UNROLL
    for (int r = 0; r < kRows; ++r) even[r] = fma(set1(x[r][k]), a, even[r]);
  }
  FATHOM_UNROLL
  for (int r = 0; r < kRows; ++r) {
    store_outputs(tile.y[row + r], add(even[r], odd[r]), tile.outputs);
  }
}

template <FloatType kType>
void matmul_narrow(const MatmulTile& tile) {
  int64_t row = 0;
  for (; row + 4 <= tile.rows; row += 4) multiply_narrow<kType, 4>(tile, row);
  if (row + 2 <= tile.rows) {
    multiply_narrow<kType, 2>(tile, row);
    row += 2;
  }
  if (row < tile.rows) multiply_narrow<kType, 1>(tile, row);
}

template <FloatType kType>
void matmul_floats(const MatmulTile& tile) {
  if constexpr (kType == FloatType::kF32 || kType == FloatType::kF16) {
    if (tile.narrow) return matmul_narrow<kType>(tile);
  }
  // FP8 keeps two sums for each output.
  constexpr int kRows = kType == FloatType::kF8 ? kFloatRows / 2 : kFloatRows;
  int64_t row = 0;
  for (; row + kRows <= tile.rows; row += kRows) multiply_float_rows<kType, kRows>(tile, row);
  if constexpr (kRows > 4) {
    if (row + 4 <= tile.rows) {
      multiply_float_rows<kType, 4>(tile, row);
      row += 4;
    }
  }
  if (row + 2 <= tile.rows) {
    multiply_float_rows<kType, 2>(tile, row);
    row += 2;
  }
  for (; row < tile.rows; ++row) multiply_float_rows<kType, 1>(tile, row);
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
