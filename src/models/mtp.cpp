#include "models/mtp.h"

#include "layers/names.h"

namespace fathom {

Result<std::unique_ptr<MtpLayer>> MtpLayer::load(WeightLoader& loader,
                                                 const DecoderFamily& family) {
  const int64_t layer = loader.config().layers;
  auto mtp = std::make_unique<MtpLayer>();
  FATHOM_TRY(mtp->token_norm_, RmsNorm::load(loader, layer_name(layer, "enorm")));
  FATHOM_TRY(mtp->previous_norm_, RmsNorm::load(loader, layer_name(layer, "hnorm")));
  FATHOM_TRY(mtp->join_, loader.linear(layer_name(layer, "eh_proj")));
  FATHOM_TRY(mtp->layer_, DecoderLayer::load(loader, family, layer));
  FATHOM_TRY(mtp->final_norm_, RmsNorm::load(loader, layer_name(layer, "shared_head.norm")));
  return mtp;
}

void MtpLayer::forward(const Step& step, const float* previous, float* x) const {
  const int64_t hidden = token_norm_.width();
  {
    const Workspace::Scope scope(step.workspace);
    float* joined = step.workspace.floats(step.rows * 2 * hidden);  // [rows, token | previous]
    token_norm_.forward(step.kernels, x, hidden, step.rows, joined, 2 * hidden);
    previous_norm_.forward(step.kernels, previous, hidden, step.rows, joined + hidden, 2 * hidden);
    project(step.kernels, joined, 2 * hidden, step.rows, {{&join_, x, hidden}});
  }
  layer_.forward(step, x);
}

}  // namespace fathom
