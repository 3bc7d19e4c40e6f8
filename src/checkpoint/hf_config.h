// ModelConfig from a Hugging Face config.json. Missing members take the defaults that transformers
// gives them; what would change the computation and is not supported is refused.
#pragma once

#include <string_view>

#include "base/result.h"
#include "checkpoint/model_config.h"

namespace fathom {

// `file` names the text in errors.
Result<ModelConfig> parse_hf_config(std::string_view text, std::string_view file);

}  // namespace fathom
