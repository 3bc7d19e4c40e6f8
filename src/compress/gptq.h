// GPTQ (Frantar et al. 2022): columns are rounded one after the other, and what each loses is made
// up for by those that are still to come, as far as the inputs' second moments H say they can:
//   U upper triangular, U^T U = (H + damping)^-1;   w_j -= (w_i - q_i) / U_ii * U_ij for j > i
// Rows do not depend on each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "compress/input_statistics.h"
#include "tensor/encode.h"
#include "tensor/super_block.h"

namespace fathom {

class GptqRounder {
 public:
  // statistics: with the whole of H. columns: the matrix's fold, by which the statistics' input is
  // divided; may be empty. act_order: columns with large inputs are rounded first, with
  // the groups' scales fixed beforehand. Damping is 1% of H's mean diagonal, more where H cannot be
  // factored otherwise. Fails if it cannot at all (inputs that are not finite).
  static Result<GptqRounder> make(const InputStatistics& statistics,
                                  const std::vector<float>& columns, bool act_order,
                                  ThreadPool& threads);

  // Rows of a matrix [rows, width], encoded to out. Values are used up. Any thread may call.
  void encode_rows(const GroupCodec& codec, float* values, int64_t rows, std::byte* out) const;
  void encode_rows(const SuperBlockCodec& codec, float* values, int64_t rows, std::byte* out) const;

 private:
  GptqRounder() = default;
  template <typename Unit>
  void round_rows(const Unit& unit, float* values, int64_t rows, std::byte* out) const;

  int64_t width_ = 0;
  std::vector<float> inverse_;     // U, [width, width], in the order of rounding
  std::vector<float> importance_;  // H's diagonal, by column
  std::vector<int32_t> order_;     // the column that is rounded i-th; empty: as they stand
};

}  // namespace fathom
