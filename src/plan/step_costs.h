// What the parts of a step cost on a machine where steps were measured: the engine runs its kernels
// one after another, so their seconds add up, and each is a number of units (bytes, elements, rows)
// times what a unit costs. fit.h finds the costs of units; StepTimer counts the units. Plain data;
// any thread.
#pragma once

#include <array>
#include <cstddef>

#include "kernels/attention.h"
#include "plan/hardware.h"
#include "plan/model_facts.h"

namespace fathom::plan {

// Kernels do not cost the same for one row, for few and for many: a matrix's cost grows with its
// rows by a slope of its own between two of these, and beyond the last by the last slope.
inline constexpr std::array<double, 9> kRowKnots{1, 2, 4, 8, 16, 32, 64, 128, 256};

// The units, in the order in which costs and counts lie in vectors.
struct Unit {
  enum : size_t {
    kStep,        // one step
    kLayer,       // of dense or shared work: parallel regions to start
    kRowLayer,    // rows * layers: what a row costs however narrow the model is
    kRowWidth,    // rows * layers * hidden size: norms, rotation, activations
    kWeightByte,  // of matrices, read once a step
    kCode,        // elements of quantised matrices, for the first row
    kCodeRow,     // ... for each further row: one unit between each two knots
    // elements whose blocks have a minimum or a zero point, for each row, beyond other codes
    kMinimumRow = kCodeRow + kRowKnots.size(),
    kFloat,       // elements of plain matrices, for the first row
    kFloatRow,    // for each further row
    kExpert,      // expert of a layer that has rows
    kExpertRow,   // rows * experts of each * hidden size
    kDecodePair,  // one query head looking at one position, times widths of key and value, one row
                  // a sequence
    kPromptPair,  // the same for rows of prompts, which share what they read
    kLatentDecodePair,  // for MLA
    kLatentPromptPair,
    kCacheByte,  // of the KV cache that is read
    kCount
  };
};
using UnitCounts = std::array<double, Unit::kCount>;

// One step of one copy: sequences that decode, one row each, and rows of prompts.
struct StepWork {
  double decode_rows = 0;
  double decode_context = 0;  // tokens in the cache, on average
  double prompt_rows = 0;
  double prompt_context = 0;  // before those rows, on average
  double prompts = 1;         // that the rows belong to
  double logits = 0;          // rows that the output head computes
};

// Counts what a step of a model consists of. Holds no reference; any thread.
class UnitCounter {
 public:
  UnitCounter() = default;
  UnitCounter(const ModelFacts& model, CacheType cache);

  struct Count {
    UnitCounts units{};
    // For ceilings: bytes that are read, and operations (a multiplication and an addition are two).
    double weight_bytes = 0;
    double expert_bytes = 0;  // of weight_bytes
    double cache_bytes = 0;
    double code_ops = 0;
    double float_ops = 0;
    double expert_code_ops = 0;  // of these, the routed experts'
    double expert_float_ops = 0;
    double attention_ops = 0;
  };
  Count count(const StepWork& work) const;

 private:
  static void add(const Part& part, double share, double rows, Count& count);

  Part dense_;
  Part experts_;
  Part head_;
  bool latent_ = false;
  double layers_ = 0;
  double sparse_layers_ = 0;
  double hidden_ = 0;
  double experts_count_ = 0;
  double per_token_ = 0;
  double cache_bytes_ = 0;  // of a token
  double pair_width_ = 0;   // layers * heads * (width of a key and of a value)
};

// Where no measurement says anything about a unit, what the ceilings make likely.
struct StepCosts;
StepCosts likely_costs(const Ceilings& ceilings);

struct StepCosts {
  UnitCounts seconds{};  // of one unit, at least 0
  // Beyond the model's own: what a server adds to each step, and to each token drawn for each of
  // its logits (all threads draw together).
  double serve_step_seconds = 0;
  double serve_logit_seconds = 0;
  // To each token for being written to a client, who reads it on the same machine, and to each
  // request until its first token.
  double serve_token_seconds = 0;
  double serve_request_seconds = 0;
  double program_bytes = 0;  // of the process without weights, cache, activations and tokenizer

  double seconds_of(const UnitCounts& units) const;
};

}  // namespace fathom::plan
