// The decoder-only transformer that every family here is: embedding, layers (decoder_layer.h), then
// a norm and the output head for the rows whose logits are wanted. A family's file says what its
// layers' attention and feed-forward are; this says in what order they run.
#pragma once

#include <memory>
#include <vector>

#include "checkpoint/stored_temperature.h"
#include "layers/rope.h"
#include "layers/workspace.h"
#include "models/decoder_layer.h"
#include "models/model.h"
#include "models/mtp.h"

namespace fathom {

class Decoder final : public LanguageModel {
 public:
  static Result<std::unique_ptr<LanguageModel>> load(WeightLoader& loader, Kernels& kernels,
                                                     const DecoderFamily& family,
                                                     const ModelLoadOptions& options);

  const ModelConfig& config() const override { return config_; }
  CacheLayout cache_layout() const override;
  int64_t weight_bytes() const override { return weight_bytes_; }
  int64_t max_batch_tokens() const override { return max_batch_tokens_; }
  std::span<const float> forward(const Batch& batch, CachePool& cache) override;
  std::span<const float> hidden_states() const override { return hidden_states_; }
  std::span<const std::string> lora_sites() const override { return lora_sites_; }
  bool has_mtp() const override { return mtp_ != nullptr; }
  CacheLayout mtp_cache_layout() const override;
  std::span<const float> forward_mtp(const Batch& batch, std::span<const float> previous,
                                     CachePool& cache) override;
  void set_logit_temperature(const StoredTemperature& temperature);

 private:
  Decoder(const ModelConfig& config, Kernels& kernels, int64_t rope_dim,
          const ModelLoadOptions& options)
      : config_(config),
        kernels_(kernels),
        rope_(config.rope, rope_dim),
        max_batch_tokens_(options.max_batch_tokens),
        cache_type_(options.cache_type.value_or(kernels.default_cache_type())) {}

  void embed(const Step& step, float* x);
  void keep_hidden_states(const Batch& batch, const RmsNorm& norm, const float* x);
  std::span<const float> head(const Step& step, const RmsNorm& norm, const float* x);
  void divide_by_bias(const Step& step, float* wanted) const;

  ModelConfig config_;
  Kernels& kernels_;
  RopeTable rope_;
  int64_t max_batch_tokens_;
  CacheType cache_type_;
  int64_t weight_bytes_ = 0;
  Workspace workspace_;

  PackedMatrix embedding_;  // [vocab, hidden]
  std::vector<DecoderLayer> layers_;
  RmsNorm final_norm_;
  RmsNorm head_norm_;              // final_norm_ over the logits' temperature
  RmsNorm mtp_head_norm_;          // the same of the MTP layer, where there is one
  StoredTemperature bias_;         // the rest of that temperature: by position, around 1
  std::unique_ptr<MtpLayer> mtp_;  // null: not there, or not asked for
  PackedMatrix head_;              // [vocab, hidden]; empty where it is the embedding
  std::vector<std::string> lora_sites_;
  std::vector<float> logits_;         // of the last forward()
  std::vector<float> hidden_states_;  // of the last forward()
};

}  // namespace fathom
