#include "layers/expert_store.h"

#include <fmt/format.h>

#include <utility>

namespace fathom {

Result<std::unique_ptr<ExpertStore>> ResidentExperts::load(WeightLoader& loader,
                                                           const std::string& prefix) {
  auto store = std::make_unique<ResidentExperts>();
  for (int64_t e = 0; e < loader.config().moe.experts; ++e) {
    const std::string name = fmt::format("{}experts.{}.", prefix, e);
    ExpertWeights expert;
    FATHOM_TRY(expert.gate, loader.matrix(name + "gate_proj.weight"));
    FATHOM_TRY(expert.up, loader.matrix(name + "up_proj.weight"));
    FATHOM_TRY(expert.down, loader.matrix(name + "down_proj.weight"));
    expert.gate_site = loader.add_site(name + "gate_proj");
    expert.up_site = loader.add_site(name + "up_proj");
    expert.down_site = loader.add_site(name + "down_proj");
    store->experts_.push_back(std::move(expert));
  }
  return store;
}

}  // namespace fathom
