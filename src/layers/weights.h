// From a checkpoint's tensors to the weights that layers hold: packed matrices and F32 vectors.
// Checks values that opening could not check without reading everything (scales that are not
// finite), and counts bytes for the progress display.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "kernels/kernels.h"

namespace fathom {

// y = x W^T + b. The bias is empty where there is none.
struct Linear {
  PackedMatrix w;
  std::vector<float> bias;
};

class WeightLoader {
 public:
  // Both must outlive the loader; the checkpoint must outlive the weights too.
  WeightLoader(const Checkpoint& checkpoint, Kernels& kernels,
               std::function<void(double fraction)> on_progress = {});

  const ModelConfig& config() const { return checkpoint_.config(); }

  bool has(const std::string& name) const { return checkpoint_.find(name) != nullptr; }
  Result<const Tensor*> tensor(const std::string& name) const;

  Result<PackedMatrix> matrix(const std::string& name);
  Result<std::vector<float>> vector(const std::string& name);
  // prefix.weight and, where it is there, prefix.bias.
  Result<Linear> linear(const std::string& prefix);

  // Packs part of a stored tensor (an expert, a head), or values computed while loading. The F32
  // values are moved in and kept alive if the kernels compute in place.
  Result<PackedMatrix> pack(const Tensor& matrix);
  PackedMatrix pack(std::vector<float> values, int64_t rows, int64_t cols);

  // Memory held by all matrices and vectors handed out; what stays mapped counts as well.
  int64_t bytes() const { return bytes_; }

 private:
  void count(int64_t stored_bytes, int64_t held_bytes);

  const Checkpoint& checkpoint_;
  Kernels& kernels_;
  std::function<void(double)> on_progress_;
  int64_t total_ = 0;
  int64_t done_ = 0;
  int64_t bytes_ = 0;
};

// Rows [begin, begin + count) of a matrix as a tensor of its own. Not for F8E4M3, whose scales
// belong to blocks of 128 rows.
Tensor slice_rows(const Tensor& matrix, int64_t begin, int64_t count);

// All jobs of one input in a single parallel region, then the biases.
struct Projection {
  const Linear* linear;
  float* y;
  int64_t y_stride;
};
void project(Kernels& kernels, const float* x, int64_t x_stride, int64_t rows,
             std::initializer_list<Projection> projections, bool fine_input = false);

}  // namespace fathom
