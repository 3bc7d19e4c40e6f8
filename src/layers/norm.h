// RMS norm (Zhang and Sennrich 2019): x / sqrt(mean(x^2) + eps) * weight, over the last dimension.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "layers/weights.h"

namespace fathom {

struct RmsNorm {
  std::vector<float> weight;
  float eps = 1e-5F;

  static Result<RmsNorm> load(WeightLoader& loader, const std::string& prefix) {
    RmsNorm norm;
    norm.eps = loader.config().norm_eps;
    FATHOM_TRY(norm.weight, loader.vector(prefix + ".weight"));
    return norm;
  }

  int64_t width() const { return static_cast<int64_t>(weight.size()); }

  void forward(Kernels& kernels, const float* x, int64_t x_stride, int64_t rows, float* out,
               int64_t out_stride) const {
    kernels.rms_norm(x, x_stride, weight.data(), eps, rows, width(), out, out_stride);
  }
};

}  // namespace fathom
