// DeepSeek-V3's multi-token prediction layer (DeepSeek-AI 2024, section 2.2): from what the model
// gave its output head for token i, and token i + 1, it predicts token i + 2:
//
//   x_i = eh_proj [enorm(Emb(t_{i+1})) ; hnorm(h_i)],   then a decoder layer and a norm of its own
//
// Embedding and output head are the main model's. h_i is taken after the main model's final norm,
// as in DeepSeek's published code. Immutable after load.
#pragma once

#include <memory>

#include "models/decoder_layer.h"

namespace fathom {

class MtpLayer {
 public:
  // The layer after the last one of the main model.
  static Result<std::unique_ptr<MtpLayer>> load(WeightLoader& loader, const DecoderFamily& family);

  // x [rows, hidden]: in, embeddings of the tokens t_{i+1}; out, the residual stream.
  // previous [rows, hidden]: h_i.
  void forward(const Step& step, const float* previous, float* x) const;

  const RmsNorm& final_norm() const { return final_norm_; }

 private:
  RmsNorm token_norm_;     // enorm
  RmsNorm previous_norm_;  // hnorm
  Linear join_;            // eh_proj [hidden, 2 * hidden]
  DecoderLayer layer_;
  RmsNorm final_norm_;  // shared_head.norm
};

}  // namespace fathom
