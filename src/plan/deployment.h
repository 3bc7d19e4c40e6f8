// A way to run a model, and what one step and the memory of it come to: the planner's core. Shapes
// follow Megatron's names: tensor (tp), pipeline (pp) and expert (ep) parallelism share one copy of
// the model among tp * pp devices (experts among ep of these); replicas are whole copies (data
// parallelism). Formulas are in docs/planning.md. Plain data and pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/attention.h"
#include "plan/hardware.h"
#include "plan/model_facts.h"
#include "plan/step_costs.h"

namespace fathom::plan {

struct Deployment {
  ModelFacts model;
  Hardware hardware;
  int tp = 1;
  int pp = 1;
  int ep = 1;
  int replicas = 1;
  CacheType cache = CacheType::kF16;
  int64_t context = 4096;     // most tokens of a sequence
  int64_t max_running = 256;  // sequences of one copy that are computed together
  int64_t max_batch_tokens = 512;
  double offloaded =
      0;  // share of routed experts that are read from host memory when they are needed

  int devices() const { return tp * pp * replicas; }
};

// Of the device that needs most, in bytes.
struct MemoryUse {
  double weights = 0;
  double cache = 0;        // of `cached_tokens`
  double activations = 0;  // workspace of the largest step
  double program = 0;      // code, tokenizer, buffers
  double host = 0;         // experts that are kept in host memory; not part of total()
  double total() const { return weights + cache + activations + program; }
};
MemoryUse memory_of(const Deployment& deployment, double cached_tokens);
// How many tokens the cache may hold in what the rest leaves free; negative: not even the weights
// fit, by so many bytes (weights + activations + program - memory).
double cache_tokens_that_fit(const Deployment& deployment);

enum class Bound { kMemory, kCompute, kLink, kHost, kOverhead };
std::string_view name(
    Bound bound);  // "memory bandwidth", "arithmetic", "links", "host link", "overhead"

struct StepTime {
  double seconds = 0;  // with what a server does beside the model: sampling, scheduling
  double model = 0;    // the model's part, which `fathom bench` measures
  // What each part alone would take. Where steps were measured, they need not add up to `seconds`:
  // memory and compute are then those at the machine's ceilings.
  double memory = 0;
  double compute = 0;
  double link = 0;
  double host = 0;
  double overhead = 0;
  Bound bound = Bound::kMemory;  // the largest
};

// Reusable: counts once what does not depend on the step. A call takes well under a microsecond.
// With pipeline stages a step is a round in which each stage works on 1/pp of the rows at a time.
class StepTimer {
 public:
  explicit StepTimer(const Deployment& deployment);
  StepTime time(const StepWork& work) const;
  // Draw of all devices of a copy while such steps run.
  double watts(const StepTime& time) const;

 private:
  double link_seconds(double rows) const;
  void fill_bound(StepTime& time) const;

  UnitCounter counter_;
  Hardware hardware_;
  double tp_ = 1;
  double pp_ = 1;
  double ep_ = 1;
  double offloaded_ = 0;
  double layers_ = 0;
  double sparse_layers_ = 0;
  double hidden_ = 0;
  double vocab_ = 0;
  double experts_per_token_ = 0;
  double cache_share_ = 1;  // of the cache's bytes that a device of a stage reads
  double code_ops_ = 0;     // ceilings for quantised and plain weights
  double float_ops_ = 0;
};

}  // namespace fathom::plan
