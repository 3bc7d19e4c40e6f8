// The families of models: each says what its layers are made of (models/decoder.h).
#pragma once

#include "models/decoder.h"

namespace fathom {

DecoderFamily llama_family(const ModelConfig& config);     // llama, qwen2, qwen3
DecoderFamily deepseek_family(const ModelConfig& config);  // deepseek_moe, _v2, _v3
DecoderFamily family_of(const ModelConfig& config);

}  // namespace fathom
