#include "models/decoder_layer.h"

#include "layers/names.h"

namespace fathom {

Result<DecoderLayer> DecoderLayer::load(WeightLoader& loader, const DecoderFamily& family,
                                        int64_t layer) {
  DecoderLayer made;
  FATHOM_TRY(made.attention_norm, RmsNorm::load(loader, layer_name(layer, "input_layernorm")));
  FATHOM_TRY(made.attention, family.attention(loader, layer));
  FATHOM_TRY(made.feed_forward_norm,
             RmsNorm::load(loader, layer_name(layer, "post_attention_layernorm")));
  FATHOM_TRY(made.feed_forward, family.feed_forward(loader, layer));
  return made;
}

void DecoderLayer::forward(const Step& step, float* x) const {
  const Workspace::Scope scope(step.workspace);
  const int64_t rows = step.rows;
  const int64_t hidden = attention_norm.width();
  float* normed = step.workspace.floats(rows * hidden);  // [rows, hidden]
  float* update = step.workspace.floats(rows * hidden);  // [rows, hidden]
  attention_norm.forward(step.kernels, x, hidden, rows, normed, hidden);
  attention->forward(step, normed, update);
  step.kernels.add(x, hidden, update, hidden, rows, hidden);
  feed_forward_norm.forward(step.kernels, x, hidden, rows, normed, hidden);
  feed_forward->forward(step, normed, update);
  step.kernels.add(x, hidden, update, hidden, rows, hidden);
}

}  // namespace fathom
