// One layer of the decoder-only transformer, on the residual stream x [rows, hidden]:
//   x += Attention(Norm(x));  x += FeedForward(Norm(x))
// A family says how to make the two halves; the order is the same for all.
#pragma once

#include <memory>

#include "layers/attention.h"
#include "layers/feed_forward.h"
#include "layers/norm.h"

namespace fathom {

// What a family adds: how to make the parts of one layer.
struct DecoderFamily {
  Result<std::unique_ptr<Attention>> (*attention)(WeightLoader& loader, int64_t layer);
  Result<std::unique_ptr<FeedForward>> (*feed_forward)(WeightLoader& loader, int64_t layer);
  int64_t rope_dim = 0;
};

struct DecoderLayer {
  static Result<DecoderLayer> load(WeightLoader& loader, const DecoderFamily& family,
                                   int64_t layer);
  void forward(const Step& step, float* x) const;

  RmsNorm attention_norm;
  std::unique_ptr<Attention> attention;
  RmsNorm feed_forward_norm;
  std::unique_ptr<FeedForward> feed_forward;
};

}  // namespace fathom
