// Gathers one instruction set's functions into its table.
#pragma once

#include "kernels/packed/vector_ops.h"
#include "kernels/simd/attention.h"
#include "kernels/simd/elementwise.h"
#include "kernels/simd/limits.h"
#include "kernels/simd/matmul_table.h"

namespace fathom::FATHOM_SIMD_NAMESPACE {

inline constexpr VectorOps make_ops(const char* name) {
  return {.name = name,
          .lanes = kLanes,
          .unsigned8 = kUnsigned8,
          .tile_rows = kCodeRows,
          .quantize_row = quantize_row,
          .matmul = matmul,
          .attend = attend,
          .merge = merge,
          .finish = finish,
          .scale_row = scale_row,
          .to_half = to_half,
          .to_bfloat = to_bfloat,
          .to_int8 = to_int8,
          .rms_norm = rms_norm,
          .rope = rope,
          .swiglu = swiglu,
          .add = add_row,
          .add_scaled = add_scaled,
          .burn_codes = burn_codes,
          .burn_floats = burn_floats};
}

}  // namespace fathom::FATHOM_SIMD_NAMESPACE
