// Where quantised tensors go: a GGUF file or a Hugging Face directory. Tensors are named as the
// checkpoint names them and may come in any order and, rows at a time, in pieces. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/output_file.h"
#include "compress/options.h"
#include "compress/tensor_plan.h"

namespace fathom {

class WeightOutput {
 public:
  // Takes the disk's room for all planned tensors, under a temporary name: the place's, or one of
  // this process's own. To resume, all of that must be there.
  static Result<std::unique_ptr<WeightOutput>> create(const OutputPlace& place, OutputFormat format,
                                                      const Checkpoint& checkpoint,
                                                      const QuantizeOptions& options,
                                                      const std::vector<PlannedTensor>& plan);
  virtual ~WeightOutput() = default;

  // Rows from `row` on of a planned tensor, in its target type.
  virtual Status write(const PlannedTensor& tensor, int64_t row,
                       std::span<const std::byte> bytes) = 0;
  // What was written so far lasts.
  virtual Status sync() = 0;
  // The temporary files stay when the object goes, to be gone on with.
  virtual void keep() = 0;
  // Gives the whole its name. What is neither committed nor kept is gone.
  virtual Status commit() = 0;
  virtual int64_t bytes() const = 0;
};

Result<std::unique_ptr<WeightOutput>> make_gguf_output(const OutputPlace& place,
                                                       const Checkpoint& checkpoint,
                                                       const QuantizeOptions& options,
                                                       const std::vector<PlannedTensor>& plan);

// The path must not exist yet; the temporary one is a directory too.
Result<std::unique_ptr<WeightOutput>> make_hf_output(const OutputPlace& place, OutputFormat format,
                                                     const Checkpoint& checkpoint,
                                                     const QuantizeOptions& options,
                                                     const std::vector<PlannedTensor>& plan);

}  // namespace fathom
