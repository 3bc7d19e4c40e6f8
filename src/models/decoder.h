// The decoder-only transformer that every family here is: embedding, layers of
//   x += Attention(Norm(x));  x += FeedForward(Norm(x))
// then a norm and the output head for the rows whose logits are wanted. A family's file says what
// its attention and feed-forward are; this says in what order they run.
#pragma once

#include <memory>
#include <vector>

#include "layers/attention.h"
#include "layers/feed_forward.h"
#include "layers/norm.h"
#include "layers/rope.h"
#include "layers/workspace.h"
#include "models/model.h"

namespace fathom {

struct DecoderLayer {
  RmsNorm attention_norm;
  std::unique_ptr<Attention> attention;
  RmsNorm feed_forward_norm;
  std::unique_ptr<FeedForward> feed_forward;
};

// What a family adds: how to make the parts of one layer.
struct DecoderFamily {
  Result<std::unique_ptr<Attention>> (*attention)(WeightLoader& loader, int64_t layer);
  Result<std::unique_ptr<FeedForward>> (*feed_forward)(WeightLoader& loader, int64_t layer);
  int64_t rope_dim = 0;
};

class Decoder final : public LanguageModel {
 public:
  static Result<std::unique_ptr<LanguageModel>> load(WeightLoader& loader, Kernels& kernels,
                                                     const DecoderFamily& family,
                                                     int64_t max_batch_tokens);

  const ModelConfig& config() const override { return config_; }
  CacheLayout cache_layout() const override;
  int64_t weight_bytes() const override { return weight_bytes_; }
  int64_t max_batch_tokens() const override { return max_batch_tokens_; }
  std::span<const float> forward(const Batch& batch, CachePool& cache) override;
  std::span<const float> hidden_states() const override { return hidden_states_; }

 private:
  Decoder(const ModelConfig& config, Kernels& kernels, int64_t rope_dim, int64_t max_batch_tokens)
      : config_(config),
        kernels_(kernels),
        rope_(config.rope, rope_dim),
        max_batch_tokens_(max_batch_tokens) {}

  void embed(const Step& step, float* x);
  void keep_hidden_states(const Batch& batch, const float* x);
  std::span<const float> head(const Step& step, const float* x);

  ModelConfig config_;
  Kernels& kernels_;
  RopeTable rope_;
  int64_t max_batch_tokens_;
  int64_t weight_bytes_ = 0;
  Workspace workspace_;

  PackedMatrix embedding_;  // [vocab, hidden]
  std::vector<DecoderLayer> layers_;
  RmsNorm final_norm_;
  PackedMatrix head_;                 // [vocab, hidden]; empty where it is the embedding
  std::vector<float> logits_;         // of the last forward()
  std::vector<float> hidden_states_;  // of the last forward()
};

}  // namespace fathom
