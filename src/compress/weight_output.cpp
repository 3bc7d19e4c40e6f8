#include "compress/weight_output.h"

namespace fathom {

Result<std::unique_ptr<WeightOutput>> WeightOutput::create(const OutputPlace& place,
                                                           OutputFormat format,
                                                           const Checkpoint& checkpoint,
                                                           const QuantizeOptions& options,
                                                           const std::vector<PlannedTensor>& plan) {
  if (format == OutputFormat::kGguf) return make_gguf_output(place, checkpoint, options, plan);
  return make_hf_output(place, format, checkpoint, options, plan);
}

}  // namespace fathom
