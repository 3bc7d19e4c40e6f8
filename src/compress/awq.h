// AWQ (Lin et al. 2023): weights that multiply large inputs matter more, so their columns are
// scaled up before rounding, by s = magnitude^a (normalised), with the a that loses least found by
// a grid search for each site; then each group's range is clipped where that loses less than it
// gives. What is lost is judged by the error of the output over the calibration text
// (input_statistics.h). Work is spread over the threads; results do not depend on how many.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "compress/folds.h"
#include "compress/input_statistics.h"
#include "compress/sites.h"
#include "tensor/encode.h"
#include "tensor/super_block.h"

namespace fathom {

// Which type a matrix will have; matrices without a codec are exact and lose nothing.
using TypeOf = std::function<DType(const Tensor&)>;

// Puts s where it belongs: on the columns of all that read the input, and its inverse on the rows
// that produce it. s has one factor for each of the producer's rows.
void fold(const Site& site, const std::vector<float>& s, Folds& folds);

// Finds the site's s and folds it. statistics[i] is of site.inputs[i]; one without any tokens takes
// no part. Returns the error with s over the error without, 1 where nothing was changed.
double search_scales(const Site& site, const std::vector<const InputStatistics*>& statistics,
                     const TypeOf& type_of, bool positive, ThreadPool& threads, Folds& folds);

// Rows [row, row + rows) of a folded matrix in the codec's type, each group with the scale that
// makes the error of its output smallest (group_scale.h). columns: the matrix's fold, by which the
// statistics' input is divided; may be empty.
void encode_clipped(const GroupCodec& codec, const InputStatistics& statistics,
                    const std::vector<float>& columns, const float* values, int64_t rows,
                    std::byte* out);
// The same in a K type, where each value's own moment alone decides how much it matters.
void encode_clipped(const SuperBlockCodec& codec, const InputStatistics& statistics,
                    const std::vector<float>& columns, const float* values, int64_t rows,
                    std::byte* out);

}  // namespace fathom
