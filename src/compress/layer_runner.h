// Calibration text on its way through a model, one layer at a time: a layer's weights are loaded,
// all windows of the text pass it, and it is let go. So a model need not fit into memory, only its
// largest layer and the residual stream of the text (tokens * hidden floats).
//
// A window is a sequence of its own that begins at position 0. One thread calls.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "kernels/kernels.h"
#include "layers/cache.h"
#include "layers/rope.h"
#include "layers/workspace.h"
#include "models/decoder_layer.h"

namespace fathom {

class LayerRunner {
 public:
  // The windows' embeddings. All arguments must outlive the runner.
  static Result<std::unique_ptr<LayerRunner>> make(
      const Checkpoint& checkpoint, Kernels& kernels,
      const std::vector<std::vector<int32_t>>& windows);

  // Lets all windows pass a layer with the weights that `weights` has (the checkpoint or one made
  // from it). keep: what comes out is what the next layer gets; otherwise nothing changes.
  Status run(const Checkpoint& weights, Kernels& kernels, int64_t layer, bool keep);

  // The residual stream, [tokens, hidden], windows one after the other.
  const std::vector<float>& stream() const { return stream_; }
  // The stream as another run had it; false where it is not of this size.
  bool set_stream(std::vector<float> stream);

 private:
  LayerRunner(const Checkpoint& checkpoint, const std::vector<std::vector<int32_t>>& windows,
              DecoderFamily family)
      : config_(checkpoint.config()),
        windows_(windows),
        family_(family),
        rope_(config_.rope, family.rope_dim) {}

  const ModelConfig& config_;
  const std::vector<std::vector<int32_t>>& windows_;
  DecoderFamily family_;
  RopeTable rope_;
  Workspace workspace_;
  std::optional<CachePool> cache_;  // of one layer, for the longest window
  std::vector<int32_t> pages_;
  std::vector<float> stream_;
};

}  // namespace fathom
