// A way to run a model, and what one step and the memory of it come to: the planner's core. Shapes
// follow Megatron's names: tensor (tp) and pipeline (pp) parallelism share one copy of the model
// among tp * pp devices, of which expert parallelism (ep) gives each whole experts. Where ep is
// larger than tp, ep / tp groups of tp devices each have all but the experts, and answer requests
// of their own (data-parallel attention, as DeepSeek-V3 is served: its report, section 3.4); they
// take their steps together, because all need all experts. Replicas are whole copies. Formulas are
// in docs/planning.md. Plain data and pure functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/attention.h"
#include "plan/expert_load.h"
#include "plan/hardware.h"
#include "plan/model_facts.h"
#include "plan/step_costs.h"

namespace fathom::plan {

struct Deployment {
  ModelFacts model;
  Hardware hardware;
  int tp = 1;
  int pp = 1;
  int ep = 1;  // 1, tp or a multiple of tp
  int replicas = 1;
  CacheType cache = CacheType::kF16;
  int64_t context = 4096;     // most tokens of a sequence
  int64_t max_running = 256;  // sequences of one server that are computed together
  int64_t max_batch_tokens = 512;
  double offloaded =
      0;  // share of routed experts that are read from host memory when they are needed

  int dp() const { return ep > tp ? ep / tp : 1; }  // groups of a copy
  // That each have a scheduler, a cache and their part of the load.
  int servers() const { return dp() * replicas; }
  int devices() const { return tp * pp * servers(); }
};

// Of the device that needs most, in bytes.
struct MemoryUse {
  double weights = 0;
  double cache = 0;        // of `cached_tokens` of one server
  double activations = 0;  // workspace of the largest step
  double program = 0;      // code, tokenizer, buffers
  double host = 0;         // experts that are kept in host memory; not part of total()
  double total() const { return weights + cache + activations + program; }
};
MemoryUse memory_of(const Deployment& deployment, double cached_tokens);
// Of `program`, what the model's tokenizer takes: it grows with the vocabulary.
double tokenizer_bytes(const ModelFacts& model);
// Of a device's memory, what may be planned with: the rest is the system's, drivers' and fragments.
double usable_bytes(const Hardware& hardware);
// How many tokens a server's cache may hold in what the rest leaves free; negative: not even the
// weights fit, by so many bytes (weights + activations + program - memory).
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
// Work is one server's; the others of a copy are taken to have as much.
class StepTimer {
 public:
  explicit StepTimer(const Deployment& deployment);
  StepTime time(const StepWork& work) const;
  // Draw of all devices of a server while such steps run.
  double watts(const StepTime& time) const;

 private:
  double link_seconds(double rows, double most_choices) const;
  void fill_bound(StepTime& time) const;

  UnitCounter counter_;
  Hardware hardware_;
  double tp_ = 1;
  double pp_ = 1;
  double ep_ = 1;
  double dp_ = 1;
  double offloaded_ = 0;
  Part experts_;
  double experts_count_ = 0;
  ExpertLoad load_;
  double layers_ = 0;
  double sparse_layers_ = 0;
  double hidden_ = 0;
  double vocab_ = 0;
  double cache_share_ = 1;  // of the cache's bytes that a device of a stage reads
  double code_ops_ = 0;     // ceilings for quantised and plain weights
  double float_ops_ = 0;
};

}  // namespace fathom::plan
