// From a checkpoint's tensors to the weights that layers hold: packed matrices and F32 vectors.
// Checks values that opening could not check without reading everything (scales that are not
// finite), and counts bytes for the progress display.
//
// What is packed leaves the mapped checkpoint's memory at once, and what follows in the file is
// read meanwhile: loading holds little more than the packed weights. With a PackedCache, matrices
// that it has are taken from there and the checkpoint's are not read at all.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "kernels/kernels.h"
#include "layers/packed_cache.h"

namespace fathom {

// y = x W^T + b. The bias is empty where there is none.
struct Linear {
  PackedMatrix w;
  std::vector<float> bias;
  int32_t site = 0;  // see WeightLoader::add_site()
};

class WeightLoader {
 public:
  // All must outlive the loader; the checkpoint must outlive the weights too. cache: may be null.
  WeightLoader(const Checkpoint& checkpoint, Kernels& kernels,
               std::function<void(double fraction)> on_progress = {}, PackedCache* cache = nullptr);

  const ModelConfig& config() const { return checkpoint_.config(); }

  bool has(const std::string& name) const { return checkpoint_.find(name) != nullptr; }
  Result<const Tensor*> tensor(const std::string& name) const;

  Result<PackedMatrix> matrix(const std::string& name);
  Result<std::vector<float>> vector(const std::string& name);
  // prefix.weight and, where it is there, prefix.bias.
  Result<Linear> linear(const std::string& prefix);

  // Packs part of a stored tensor (an expert, a head).
  Result<PackedMatrix> pack(const Tensor& matrix);
  // Packs values [rows, cols] that are computed from stored ones; `name` is the result's own and
  // says how they are computed. compute() is not called where the cache has the matrix. The values
  // are kept alive if the kernels compute in place.
  PackedMatrix pack_computed(std::string_view name, int64_t rows, int64_t cols,
                             FunctionRef<std::vector<float>()> compute);

  // Numbers a module whose product with x adapters may change: 0, 1, 2, ... linear() does so.
  int32_t add_site(std::string module) {
    sites_.push_back(std::move(module));
    return static_cast<int32_t>(sites_.size()) - 1;
  }
  std::vector<std::string> take_sites() { return std::move(sites_); }

  // Memory held by all matrices and vectors handed out; what stays mapped counts as well.
  int64_t bytes() const { return bytes_; }

 private:
  void count(int64_t stored_bytes, int64_t held_bytes);
  void read_ahead(const Tensor& matrix);
  Status check_finite(const Tensor& matrix);

  const Checkpoint& checkpoint_;
  Kernels& kernels_;
  std::function<void(double)> on_progress_;
  PackedCache* cache_;
  // The part of a file whose reading has been started.
  const std::byte* ahead_begin_ = nullptr;
  const std::byte* ahead_end_ = nullptr;
  std::vector<std::string> sites_;
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
  bool fine_input = false;  // see MatmulJob
};
void project(Kernels& kernels, const float* x, int64_t x_stride, int64_t rows,
             std::initializer_list<Projection> projections);

}  // namespace fathom
