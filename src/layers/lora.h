// Low-rank adapters in the forward pass: y += B (A x), for the rows of the batch that ask
// for it, each with its own adapter (as in S-LoRA, Sheng et al. 2023, and Punica, Chen et al. 2023:
// the rows of one adapter are gathered, so that its matrices are read once a step).
//
// Layers know their matrices as sites: numbers that WeightLoader gave out in the order of loading.
// An adapter has for each site the products to add. Latent attention computes kv_b_proj in parts,
// absorbed into queries and outputs; so its site has one product for each head's keys, on the query
// [nope] -> [latent], and then one for each head's values, on the latent.
//
// Their values are kept as F16 where that loses next to nothing, and as F32 by kernels that compute
// exactly. Adapters are immutable after make() and may be used by many steps; they must outlive
// them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/lora_adapter.h"
#include "checkpoint/model_config.h"
#include "layers/step.h"
#include "layers/weights.h"

namespace fathom {

struct LoraMatrix {
  PackedMatrix a;  // [rank, in]
  PackedMatrix b;  // [out, rank], the scale multiplied in
};

class LoraWeights {
 public:
  // sites: the modules' names, in the order of their numbers. Packs on the kernels' threads, so the
  // caller holds them. Fails where the model computes without a module that the adapter changes.
  static Result<std::shared_ptr<const LoraWeights>> make(const LoraAdapter& adapter,
                                                         const ModelConfig& config,
                                                         std::span<const std::string> sites,
                                                         Kernels& kernels);

  // Null if nothing is to be added. part: of kv_b_proj, otherwise 0.
  const LoraMatrix* at(int32_t site, int64_t part = 0) const {
    const auto& parts = sites_[static_cast<size_t>(site)];
    return parts.empty() ? nullptr : &parts[static_cast<size_t>(part)];
  }
  int64_t bytes() const { return bytes_; }
  int64_t id() const { return id_; }  // above 0, of no other adapter in this process

 private:
  std::vector<std::vector<LoraMatrix>> sites_;
  int64_t bytes_ = 0;
  int64_t id_ = 0;
};

// One product to add: y[y_rows[i]] += B (A x[x_rows[i]]).
struct LoraJob {
  const LoraMatrix* matrix = nullptr;
  const float* x = nullptr;
  int64_t x_stride = 0;
  std::span<const int32_t> x_rows;
  float* y = nullptr;
  int64_t y_stride = 0;
  const int32_t* y_rows = nullptr;
};

// All jobs in two parallel regions, or three. No two may have the same row of y.
void add_lora(const Step& step, std::span<const LoraJob> jobs);

// A site whose output is y = x W^T for all rows of the step.
struct LoraPlace {
  int32_t site = 0;
  int64_t part = 0;
  const float* x = nullptr;
  int64_t x_stride = 0;
  float* y = nullptr;
  int64_t y_stride = 0;
};
void add_lora(const Step& step, std::span<const LoraPlace> places);

// project() of weights.h, and what the rows' adapters add: one more parallel region, or two.
void project(const Step& step, const float* x, int64_t x_stride,
             std::initializer_list<Projection> projections);

}  // namespace fathom
