// RopeConfig from a Hugging Face config.json, in all three spellings: rope_scaling with "type",
// with "rope_type", and rope_parameters, which holds rope_theta too.
//
// YaRN (Peng et al. 2023): for MLA families as in DeepSeek's modelling files, where cos and sin
// are scaled by m(mscale) / m(mscale_all_dim) and the softmax by m(mscale_all_dim)^2, with
// m(s) = 0.1 * s * ln(factor) + 1; for the others as in transformers.
#pragma once

#include "base/result.h"
#include "checkpoint/json_fields.h"
#include "checkpoint/model_config.h"

namespace fathom {

// `config` must know its family, context and whether it is MLA. Sets all of config.rope but the
// layout.
Status read_hf_rope(const JsonFields& fields, ModelConfig& config);

}  // namespace fathom
