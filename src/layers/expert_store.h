// Where a sparse layer gets an expert's weights from. Here all experts are resident; a store with a
// memory budget that streams them from disk has the same face.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "layers/weights.h"

namespace fathom {

struct ExpertWeights {
  PackedMatrix gate;      // [expert_hidden, hidden]
  PackedMatrix up;        // [expert_hidden, hidden]
  PackedMatrix down;      // [hidden, expert_hidden]
  int32_t gate_site = 0;  // see WeightLoader::add_site()
  int32_t up_site = 0;
  int32_t down_site = 0;
};

class ExpertStore {
 public:
  virtual ~ExpertStore() = default;
  // Valid until the next call with other experts of the same layer. expert < experts of the layer.
  virtual const ExpertWeights& expert(int64_t expert) = 0;
};

class ResidentExperts final : public ExpertStore {
 public:
  // prefix as in "model.layers.3.mlp.".
  static Result<std::unique_ptr<ExpertStore>> load(WeightLoader& loader, const std::string& prefix);
  const ExpertWeights& expert(int64_t expert) override {
    return experts_[static_cast<size_t>(expert)];
  }

 private:
  std::vector<ExpertWeights> experts_;
};

}  // namespace fathom
