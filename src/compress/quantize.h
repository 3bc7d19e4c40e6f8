// fathom quantize: a checkpoint made smaller, tensor by tensor.
//
// Rounding to nearest and conversion stream: some rows are in memory at a time. AWQ and GPTQ go
// layer by layer: the layer's inputs are observed while the calibration text passes it, its
// matrices are quantised and written, and it is let go; so memory holds one layer, what was
// observed of it (AWQ: group values for each input element; GPTQ: a square matrix for each input),
// and the text's residual stream. AWQ's layers see what the original's layers before them give;
// GPTQ's what the quantised ones give, whose errors it can then make up for.
//
// Nothing is written to the source, and what is at `path` is replaced in one step at the end. Until
// then all lies in PATH.partial, and stays there where the work is interrupted after a layer at
// least: the same call then goes on at the last finished layer and makes the same bytes
// (compress/journal.h). One thread calls; the work uses all.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "compress/options.h"
#include "compress/tensor_plan.h"

namespace fathom {

struct QuantizeReport {
  int64_t bytes = 0;           // written
  int64_t parameters = 0;      // of matrices, embedding and head
  double bits_per_weight = 0;  // of those
  int64_t quantized = 0;       // matrices that got fewer bits than 16
  int64_t tokens = 0;          // of calibration
  int64_t unreached = 0;       // experts' matrices that no token reached: rounded to nearest
};

// The output may be of another kind than the source: a GGUF file of a directory or a directory of a
// GGUF file, with configuration and tokenizer in its own form.
//
// Fails for an output that is the source, a tensor with values that are not finite (named), a full
// disk, calibration that is missing where the method needs it, and as plan_tensors() does.
Result<QuantizeReport> quantize(const Checkpoint& source, const std::filesystem::path& path,
                                OutputFormat format, const QuantizeOptions& options);

}  // namespace fathom
