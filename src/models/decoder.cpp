#include "models/decoder.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "models/logit_temperature.h"

namespace fathom {
namespace {

// The head is linear, so that dividing what it is given divides its logits.
RmsNorm over_temperature(RmsNorm norm, double temperature) {
  for (float& weight : norm.weight) weight = static_cast<float>(weight / temperature);
  return norm;
}

}  // namespace

Result<std::unique_ptr<LanguageModel>> Decoder::load(WeightLoader& loader, Kernels& kernels,
                                                     const DecoderFamily& family,
                                                     const ModelLoadOptions& options) {
  std::unique_ptr<Decoder> model(new Decoder(loader.config(), kernels, family.rope_dim, options));
  FATHOM_TRY(model->embedding_, loader.matrix("model.embed_tokens.weight"));
  for (int64_t l = 0; l < loader.config().layers; ++l) {
    FATHOM_TRY(DecoderLayer layer, DecoderLayer::load(loader, family, l));
    model->layers_.push_back(std::move(layer));
  }
  FATHOM_TRY(model->final_norm_, RmsNorm::load(loader, "model.norm"));
  if (!loader.config().tied_embeddings) {
    FATHOM_TRY(model->head_, loader.matrix("lm_head.weight"));
  }
  if (options.mtp) {
    FATHOM_TRY(model->mtp_, MtpLayer::load(loader, family));
  }
  model->set_logit_temperature({});
  model->weight_bytes_ = loader.bytes();
  model->lora_sites_ = loader.take_sites();
  return model;
}

void Decoder::set_logit_temperature(const StoredTemperature& temperature) {
  head_norm_ = over_temperature(final_norm_, temperature.value);
  if (mtp_) mtp_head_norm_ = over_temperature(mtp_->final_norm(), temperature.value);
  bias_ = {.value = 1, .bias = temperature.bias};
}

void set_logit_temperature(LanguageModel& model, const StoredTemperature& temperature) {
  // There is no other kind of model here.
  static_cast<Decoder&>(model).set_logit_temperature(temperature);
}

CacheLayout Decoder::cache_layout() const {
  CacheLayout layout = cache_layout_of(config_, cache_type_);
  layout.placement = kernels_.placement();
  return layout;
}

std::span<const float> Decoder::forward(const Batch& batch, CachePool& cache) {
  const int64_t rows = batch.tokens();
  FATHOM_ASSERT(rows > 0 && rows <= max_batch_tokens_);
  const Workspace::Scope scope(workspace_);
  const Step step(kernels_, workspace_, rope_, batch, cache);
  const int64_t hidden = config_.hidden_size;
  float* x = workspace_.floats(rows * hidden);  // [rows, hidden], the residual stream
  embed(step, x);
  for (const DecoderLayer& layer : layers_) layer.forward(step, x);
  keep_hidden_states(batch, final_norm_, x);
  return head(step, head_norm_, x);
}

CacheLayout Decoder::mtp_cache_layout() const {
  CacheLayout layout = cache_layout();
  layout.layers = 1;
  return layout;
}

std::span<const float> Decoder::forward_mtp(const Batch& batch, std::span<const float> previous,
                                            CachePool& cache) {
  const int64_t rows = batch.tokens();
  const int64_t hidden = config_.hidden_size;
  FATHOM_ASSERT(mtp_ != nullptr && rows > 0 && rows <= max_batch_tokens_);
  FATHOM_ASSERT(static_cast<int64_t>(previous.size()) == rows * hidden);
  const Workspace::Scope scope(workspace_);
  const Step step(kernels_, workspace_, rope_, batch, cache, config_.layers);
  float* x = workspace_.floats(rows * hidden);  // [rows, hidden], the residual stream
  embed(step, x);
  mtp_->forward(step, previous.data(), x);
  keep_hidden_states(batch, mtp_->final_norm(), x);
  return head(step, mtp_head_norm_, x);
}

void Decoder::embed(const Step& step, float* x) {
  const int64_t hidden = config_.hidden_size;
  for (const BatchSequence& sequence : step.batch.sequences) {
    kernels_.gather_rows(embedding_, sequence.tokens, x, hidden);
    x += static_cast<int64_t>(sequence.tokens.size()) * hidden;
  }
}

void Decoder::keep_hidden_states(const Batch& batch, const RmsNorm& norm, const float* x) {
  hidden_states_.clear();
  const int64_t hidden = config_.hidden_size;
  for (const BatchSequence& sequence : batch.sequences) {
    const auto rows = static_cast<int64_t>(sequence.tokens.size());
    if (sequence.hidden_states) {
      const size_t at = hidden_states_.size();
      hidden_states_.resize(at + static_cast<size_t>(rows * hidden));
      norm.forward(kernels_, x, hidden, rows, hidden_states_.data() + at, hidden);
    }
    x += rows * hidden;
  }
}

// wanted: [rows with logits, hidden], what the head is given.
void Decoder::divide_by_bias(const Step& step, float* wanted) const {
  const int64_t hidden = config_.hidden_size;
  auto sequence = step.batch.sequences.begin();
  int64_t first = 0;  // row of the sequence
  for (const int32_t row : step.logits_rows) {
    while (row >= first + std::ssize(sequence->tokens)) {
      first += std::ssize(sequence->tokens);
      ++sequence;
    }
    const auto factor = static_cast<float>(1 / bias_.at(sequence->position + row - first));
    for (int64_t i = 0; i < hidden; ++i) wanted[i] *= factor;
    wanted += hidden;
  }
}

std::span<const float> Decoder::head(const Step& step, const RmsNorm& norm, const float* x) {
  const auto rows = static_cast<int64_t>(step.logits_rows.size());
  if (rows == 0) return {};
  const Workspace::Scope scope(workspace_);
  const int64_t hidden = config_.hidden_size;
  float* wanted = workspace_.floats(rows * hidden);  // [rows with logits, hidden]
  for (int64_t i = 0; i < rows; ++i) {
    const float* row = x + step.logits_rows[static_cast<size_t>(i)] * hidden;
    std::copy_n(row, hidden, wanted + i * hidden);
  }
  norm.forward(kernels_, wanted, hidden, rows, wanted, hidden);
  if (!bias_.bias.empty()) divide_by_bias(step, wanted);

  const PackedMatrix& matrix = head_.empty() ? embedding_ : head_;
  const auto needed = static_cast<size_t>(rows * matrix.out);
  if (logits_.size() < needed) logits_.resize(needed);
  const MatmulJob job{.w = &matrix,
                      .x = wanted,
                      .x_stride = hidden,
                      .rows = rows,
                      .y = logits_.data(),
                      .y_stride = matrix.out};
  kernels_.matmul({&job, 1});
  return {logits_.data(), needed};
}

}  // namespace fathom
