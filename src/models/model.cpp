#include "models/model.h"

#include "models/families.h"

namespace fathom {

namespace {

Result<std::unique_ptr<LanguageModel>> load_family(WeightLoader& loader, Kernels& kernels,
                                                   const Checkpoint& checkpoint,
                                                   const ModelLoadOptions& options) {
  const ModelConfig& config = checkpoint.config();
  switch (config.family) {
    case Family::kLlama:
    case Family::kQwen2:
    case Family::kQwen3:
      return Decoder::load(loader, kernels, llama_family(config), options.max_batch_tokens);
    case Family::kDeepseekMoe:
    case Family::kDeepseekV2:
    case Family::kDeepseekV3:
      return Decoder::load(loader, kernels, deepseek_family(config), options.max_batch_tokens);
  }
  return fail("{}: no model for the family {}.", checkpoint.path().string(), name(config.family));
}

}  // namespace

Result<std::unique_ptr<LanguageModel>> LanguageModel::load(const Checkpoint& checkpoint,
                                                           Kernels& kernels,
                                                           const ModelLoadOptions& options) {
  WeightLoader loader(checkpoint, kernels, options.on_progress, options.packed_cache);
  auto model = load_family(loader, kernels, checkpoint, options);
  if (model && options.packed_cache != nullptr) options.packed_cache->finish();
  return model;
}

}  // namespace fathom
