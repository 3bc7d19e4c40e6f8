// A way to run a model, and what one step and the memory of it come to: the planner's core. Shapes follow
// Megatron's names: tensor (tp), pipeline (pp) and expert (ep) parallelism share one copy of the model among
// tp * pp devices (experts among ep of these); replicas are whole copies (data parallelism). Formulas are in
// docs/planning.md. Plain data and pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/attention.h"
#include "plan/hardware.h"
#include "plan/model_facts.h"

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
  double offloaded = 0;  // share of routed experts that are read from host memory when they are needed

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
// How many tokens the cache may hold in what the rest leaves free; negative: not even the weights fit, by
// so many bytes (weights + activations + program - memory).
double cache_tokens_that_fit(const Deployment& deployment);

// One step of one copy: sequences that decode, one row each, and rows of prompts.
struct StepWork {
  double decode_rows = 0;
  double decode_context = 0;  // tokens in the cache, on average
  double prompt_rows = 0;
  double prompt_context = 0;  // before those rows, on average
  double logits = 0;          // rows that the output head computes
};

enum class Bound { kMemory, kCompute, kLink, kHost, kOverhead };
std::string_view name(Bound bound);  // "memory bandwidth", "arithmetic", "links", "host link", "overhead"

struct StepTime {
  double seconds = 0;
  double memory = 0;  // each part's seconds
  double compute = 0;
  double link = 0;
  double host = 0;
  double overhead = 0;
  Bound bound = Bound::kMemory;  // the largest
};

// Reusable: counts once what does not depend on the step. A call takes well under a microsecond.
class StepTimer {
 public:
  explicit StepTimer(const Deployment& deployment);
  StepTime time(const StepWork& work) const;
  // Of the device's draw while such steps run, all devices of a copy.
  double watts(const StepTime& time) const;

 private:
  Deployment deployment_;
};

}  // namespace fathom::plan
