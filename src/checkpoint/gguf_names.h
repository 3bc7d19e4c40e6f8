// Hugging Face's names and shapes for a GGUF file's tensors.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/model_config.h"
#include "tensor/tensor.h"

namespace fathom {

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight". Names without a counterpart
// stay as they are.
std::string hf_name(std::string_view gguf_name);

// The other way round; `expert` where the tensor is one of a stack. Nothing for names that GGUF has
// no counterpart of.
struct GgufName {
  std::string name;
  std::optional<int64_t> expert = {};
};
std::optional<GgufName> gguf_name(std::string_view hf_name);

// Renames all tensors, cuts stacked experts into one tensor each, gives MLA's split projections
// their three dimensions, and sorts by name. `file` names the source in errors.
Result<std::vector<Tensor>> to_hf_tensors(std::vector<Tensor> tensors, const ModelConfig& config,
                                          const std::string& file);

}  // namespace fathom
