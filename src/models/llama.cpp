// Llama (Touvron et al. 2023) and its near relatives. DeepSeek-LLM, DeepSeek-Coder, SmolLM2 and
// R1-Distill-Llama are Llama; Qwen2 adds biases to q, k and v, Qwen3 an RMS norm over every head of
// q and k. Those differences are the attention layer's; the order of the parts is the same.
#include "models/families.h"

#include "layers/names.h"

namespace fathom {

DecoderFamily llama_family(const ModelConfig& config) {
  return {.attention = &GroupedQueryAttention::load,
          .feed_forward =
              [](WeightLoader& loader, int64_t layer) {
                return GatedFeedForward::load(loader, layer_name(layer, "mlp."));
              },
          .rope_dim = config.head_dim};
}

}  // namespace fathom
