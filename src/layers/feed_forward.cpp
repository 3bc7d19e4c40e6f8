#include "layers/feed_forward.h"

#include "layers/lora.h"

namespace fathom {

Result<std::unique_ptr<GatedFeedForward>> GatedFeedForward::load_gated(WeightLoader& loader,
                                                                       const std::string& prefix) {
  auto layer = std::make_unique<GatedFeedForward>();
  FATHOM_TRY(layer->gate_, loader.linear(prefix + "gate_proj"));
  FATHOM_TRY(layer->up_, loader.linear(prefix + "up_proj"));
  FATHOM_TRY(layer->down_, loader.linear(prefix + "down_proj"));
  return layer;
}

Result<std::unique_ptr<FeedForward>> GatedFeedForward::load(WeightLoader& loader,
                                                            const std::string& prefix) {
  FATHOM_TRY(std::unique_ptr<FeedForward> layer, load_gated(loader, prefix));
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

std::array<MatmulJob, 2> GatedFeedForward::gate_and_up(const float* x, int64_t rows, float* gate,
                                                       float* up) const {
  MatmulJob job{
      .w = &gate_.w, .x = x, .x_stride = gate_.w.in, .rows = rows, .y = gate, .y_stride = width()};
  std::array<MatmulJob, 2> jobs = {job, job};
  jobs[1].w = &up_.w;
  jobs[1].y = up;
  return jobs;
}

MatmulJob GatedFeedForward::down(const float* x, int64_t rows, float* y) const {
  return {
      .w = &down_.w, .x = x, .x_stride = width(), .rows = rows, .y = y, .y_stride = down_.w.out};
}

}  // namespace fathom
