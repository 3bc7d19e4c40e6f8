#include "layers/feed_forward.h"

#include "layers/lora.h"

namespace fathom {

Result<std::unique_ptr<FeedForward>> GatedFeedForward::load(WeightLoader& loader,
                                                            const std::string& prefix) {
  auto layer = std::make_unique<GatedFeedForward>();
  FATHOM_TRY(layer->gate_, loader.linear(prefix + "gate_proj"));
  FATHOM_TRY(layer->up_, loader.linear(prefix + "up_proj"));
  FATHOM_TRY(layer->down_, loader.linear(prefix + "down_proj"));
  return layer;
}

void GatedFeedForward::forward(const Step& step, const float* x, float* y) const {
  const Workspace::Scope scope(step.workspace);
  const int64_t width = gate_.w.out;
  float* gate = step.workspace.floats(step.rows * width);  // [rows, width]
  float* up = step.workspace.floats(step.rows * width);    // [rows, width]
  project(step, x, gate_.w.in, {{&gate_, gate, width}, {&up_, up, width}});
  step.kernels.swiglu(gate, up, step.rows, width, width, gate);
  project(step, gate, width, {{&down_, y, down_.w.out}});
}

}  // namespace fathom
