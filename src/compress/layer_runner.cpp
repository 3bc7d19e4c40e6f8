#include "compress/layer_runner.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "layers/attention.h"
#include "layers/step.h"
#include "layers/weights.h"
#include "models/families.h"

namespace fathom {

Result<std::unique_ptr<LayerRunner>> LayerRunner::make(
    const Checkpoint& checkpoint, Kernels& kernels,
    const std::vector<std::vector<int32_t>>& windows) {
  std::unique_ptr<LayerRunner> runner(
      new LayerRunner(checkpoint, windows, family_of(checkpoint.config())));
  size_t longest = 0;
  size_t tokens = 0;
  for (const auto& window : windows) {
    longest = std::max(longest, window.size());
    tokens += window.size();
  }
  CacheLayout layout = cache_layout_of(checkpoint.config(), kernels.default_cache_type());
  layout.layers = 1;
  const int64_t pages =
      (static_cast<int64_t>(longest) + CachePool::kPageTokens - 1) / CachePool::kPageTokens;
  FATHOM_TRY(runner->cache_, CachePool::make(layout, pages));
  runner->pages_.resize(static_cast<size_t>(pages));
  std::iota(runner->pages_.begin(), runner->pages_.end(), 0);

  WeightLoader loader(checkpoint, kernels);
  FATHOM_TRY(const PackedMatrix embedding, loader.matrix("model.embed_tokens.weight"));
  const int64_t hidden = checkpoint.config().hidden_size;
  runner->stream_.resize(tokens * static_cast<size_t>(hidden));
  float* x = runner->stream_.data();
  for (const auto& window : windows) {
    kernels.gather_rows(embedding, window, x, hidden);
    x += static_cast<int64_t>(window.size()) * hidden;
  }
  return runner;
}

Status LayerRunner::run(const Checkpoint& weights, Kernels& kernels, int64_t layer, bool keep) {
  WeightLoader loader(weights, kernels);
  FATHOM_TRY(const DecoderLayer loaded, DecoderLayer::load(loader, family_, layer));
  const int64_t hidden = config_.hidden_size;
  float* x = stream_.data();
  for (const auto& window : windows_) {
    const Workspace::Scope scope(workspace_);
    const auto rows = static_cast<int64_t>(window.size());
    Batch batch;
    batch.sequences.push_back({.tokens = window, .position = 0, .pages = pages_});
    const Step step(kernels, workspace_, rope_, batch, *cache_, layer);
    float* passing = x;
    if (!keep) {
      passing = workspace_.floats(rows * hidden);
      std::copy_n(x, rows * hidden, passing);
    }
    loaded.forward(step, passing);
    x += rows * hidden;
  }
  return {};
}

bool LayerRunner::set_stream(std::vector<float> stream) {
  if (stream.size() != stream_.size()) return false;
  stream_ = std::move(stream);
  return true;
}

}  // namespace fathom
