#include "models/model.h"

#include "base/assert.h"
#include "base/result.h"
#include "models/families.h"

namespace fathom {

namespace {

Result<std::unique_ptr<LanguageModel>> load_family(WeightLoader& loader, Kernels& kernels,
                                                   const Checkpoint& checkpoint,
                                                   const ModelLoadOptions& options) {
  const ModelConfig& config = checkpoint.config();
  if (options.mtp && config.mtp_layers == 0) {
    return usage_error(
        "{} has no multi-token prediction layer. DeepSeek-V3 and R1 have one, but many converted "
        "files leave it out; speculation by lookup or with a draft model needs none.",
        checkpoint.path().string());
  }
  return Decoder::load(loader, kernels, family_of(config), options);
}

}  // namespace

DecoderFamily family_of(const ModelConfig& config) {
  switch (config.family) {
    case Family::kLlama:
    case Family::kQwen2:
    case Family::kQwen3:
      return llama_family(config);
    case Family::kDeepseekMoe:
    case Family::kDeepseekV2:
    case Family::kDeepseekV3:
      return deepseek_family(config);
  }
  FATHOM_ASSERT(false);
  return {};
}

Result<std::unique_ptr<LanguageModel>> LanguageModel::load(const Checkpoint& checkpoint,
                                                           Kernels& kernels,
                                                           const ModelLoadOptions& options) {
  WeightLoader loader(checkpoint, kernels, options.on_progress, options.packed_cache);
  auto model = load_family(loader, kernels, checkpoint, options);
  if (model && options.packed_cache != nullptr) options.packed_cache->finish();
  return model;
}

}  // namespace fathom
