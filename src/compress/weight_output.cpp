#include "compress/weight_output.h"

namespace fathom {

Result<std::unique_ptr<WeightOutput>> WeightOutput::create(const std::filesystem::path& path,
                                                           OutputFormat format,
                                                           const Checkpoint& checkpoint,
                                                           const QuantizeOptions& options,
                                                           const std::vector<PlannedTensor>& plan) {
  if (format == OutputFormat::kGguf) return make_gguf_output(path, checkpoint, options, plan);
  return make_hf_output(path, checkpoint, plan);
}

}  // namespace fathom
