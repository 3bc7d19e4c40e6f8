// What a matrix was multiplied with during calibration: the second moments of its input, from which
// the error that a change of the weights makes in the output follows exactly, row by row:
//   sum over tokens of ((w' - w) x)^2 = (w' - w) H (w' - w)^T,   H = sum x x^T
// Kept are H's blocks on the diagonal, one for each quantisation group (what clipping and scaling
// are judged by: errors of different groups are all but independent), and the whole of H where
// GPTQ wants it. Not thread-safe; adding runs on the kernels' threads.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace fathom {

class InputStatistics {
 public:
  // width: of the input; block divides it. whole: also the whole of H.
  InputStatistics(int64_t width, int64_t block, bool whole);

  void add(const MatmulJob& job, Kernels& kernels);
  // All of `other`'s counts `weight` times; both without the whole of H or both with it.
  void add(const InputStatistics& other, double weight);
  // Towards an input whose elements are independent and of equal size, as if `rows` tokens had
  // brought it: for inputs that too few tokens reached to be trusted.
  void add_plain(int64_t rows);

  int64_t width() const { return width_; }
  int64_t block() const { return block_; }
  double rows() const { return rows_; }
  // Mean magnitude of each element of the input.
  std::vector<float> mean_magnitudes() const;
  // H's diagonal: the second moment of each element.
  std::vector<float> diagonal() const;
  // H's group-th block on the diagonal, [block, block].
  const float* diagonal_block(int64_t group) const {
    return blocks_.data() + group * block_ * block_;
  }
  const std::vector<float>& whole() const { return whole_; }  // [width, width] or empty

 private:
  void add_whole(const MatmulJob& job, Kernels& kernels);

  int64_t width_;
  int64_t block_;
  bool wants_whole_;
  double rows_ = 0;
  std::vector<double> magnitudes_;  // sums
  std::vector<float> blocks_;       // [width / block, block, block]
  std::vector<float> whole_;
};

}  // namespace fathom
