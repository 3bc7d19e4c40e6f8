// AWQ and GPTQ of one layer after the other, and of the output head: the calibration text passes a
// layer, what its matrices are given is observed, and each is rounded so that its output for that
// changes least. Tensors that neither method changes are left to TensorWriter::write_rest_of().
//
// One thread calls; the work uses all. Holds what was observed of one layer, and the text's
// residual stream.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "compress/input_statistics.h"
#include "compress/layer_runner.h"
#include "compress/options.h"
#include "compress/sites.h"
#include "compress/tensor_writer.h"

namespace fathom {

class CalibratedQuantizer {
 public:
  // Fails without a text. References must outlive the quantizer.
  static Result<std::unique_ptr<CalibratedQuantizer>> make(const Checkpoint& checkpoint,
                                                           const QuantizeOptions& options,
                                                           TensorWriter& writer);

  // Writes the layer's matrices that the text can judge.
  Status quantize_layer(int64_t layer);
  // GPTQ, when all of the layer is written: the next one sees what this one gives now.
  Status pass_quantized(int64_t layer);
  // After the last layer: the output head, or the embedding that serves as one, where it gets so
  // few bits that it matters how they are chosen.
  Status write_head();

  // The text between two layers, which an interrupted run goes on with. set_stream() is false where
  // it is of another size.
  std::span<const float> stream() const { return runner_->stream(); }
  bool set_stream(std::vector<float> stream) { return runner_->set_stream(std::move(stream)); }

  int64_t tokens() const { return tokens_; }
  // Experts' matrices that no token reached.
  int64_t unreached() const { return unreached_; }
  void set_unreached(int64_t unreached) { unreached_ = unreached; }

 private:
  struct Observed {
    Site site;
    std::vector<std::unique_ptr<InputStatistics>> inputs;  // of site.inputs
  };

  CalibratedQuantizer(const Checkpoint& checkpoint, const QuantizeOptions& options,
                      TensorWriter& writer, std::unique_ptr<LayerRunner> runner, int64_t tokens);

  int64_t group_of(const Site& site) const;
  void fill_up(Observed& entry);
  bool can_fold(const Site& site) const;
  void search(const Observed& entry);
  Status write_awq(const Observed& entry);
  Status write_gptq(const Observed& entry);
  InputStatistics inputs_of_head(const Tensor& head, const Tensor& norm, bool tied);

  const Checkpoint& checkpoint_;
  const QuantizeOptions& options_;
  TensorWriter& writer_;
  std::unique_ptr<LayerRunner> runner_;
  int64_t tokens_;
  int64_t unreached_ = 0;
};

}  // namespace fathom
