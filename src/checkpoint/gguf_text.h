// What a GGUF file says about text: its vocabulary, chat template, and how to end an answer.
#pragma once

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf_metadata.h"

namespace fathom {

struct GgufText {
  TextSource source;  // without a vocabulary if the file has none
  GenerationDefaults generation;
};

// vocab_size: the model's; token ids at or beyond it are refused.
Result<GgufText> gguf_text(const GgufMetadata& metadata, int64_t vocab_size);

}  // namespace fathom
