// DeepSeek's sparse models. DeepSeek-MoE (2024) has Llama's attention; V2 (2024) and V3 (2024) have
// latent attention. In all of them the first layers are dense and the rest route each token to a
// few fine-grained experts beside the shared ones; how the router scores is in the configuration.
// V3's multi-token prediction layer comes after the last one and takes no part in the logits:
// mtp.h.
#include "layers/mla.h"
#include "layers/moe.h"
#include "layers/names.h"
#include "models/families.h"

namespace fathom {

DecoderFamily deepseek_family(const ModelConfig& config) {
  return {.attention = config.is_mla() ? &LatentAttention::load : &GroupedQueryAttention::load,
          .feed_forward =
              [](WeightLoader& loader, int64_t layer) {
                const std::string prefix = layer_name(layer, "mlp.");
                return loader.config().is_sparse_layer(layer)
                           ? MixtureOfExperts::load(loader, prefix)
                           : GatedFeedForward::load(loader, prefix);
              },
          .rope_dim = config.is_mla() ? config.mla.rope_head_dim : config.head_dim};
}

}  // namespace fathom
