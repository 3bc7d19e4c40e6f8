// What one step of a model costs at the least: bytes that must come from memory and operations that
// must be done, counted from the checkpoint's tensors, and how long a machine needs for both. The
// ceiling that measured speeds are compared with, and what a planner can reckon with beforehand.
//
// Counted: every weight matrix once at its stored size (of routed experts those that the step's
// tokens are expected to choose between them, if the router spreads them evenly), the embedding's
// rows, the cache once for each sequence, and a multiplication and an addition (two operations) for
// each weight and token and for each element of keys and values a token looks at. Latent attention
// (MLA) counts in its absorbed form, as it is computed here. Activations are taken to stay in
// caches; norms, softmax and the like count nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "kernels/machine_limits.h"
#include "layers/cache.h"

namespace fathom {

// `sequences` sequences with `tokens` new tokens each on top of `context` in the cache. Decoding is
// tokens = 1; every sequence wants the logits of its last token.
struct StepShape {
  int64_t sequences = 1;
  int64_t tokens = 1;
  double context = 0;  // may be the middle of several steps
};

struct StepCost {
  double bytes = 0;
  double int8_ops = 0;   // with quantised weights
  double float_ops = 0;  // with plain weights, and attention
};

// How much of a model's weights a step must read: of a mixture of experts the more, the more rows
// choose experts; of a dense model always all.
struct WeightReads {
  double expert_share = 0;  // of all weight bytes, the routed experts'
  double experts = 0;       // of one layer; 0: a dense model
  double per_token = 0;     // of them, that a row is computed by

  double of(double rows) const;  // share of all weight bytes, 0 to 1
};

// Counts a model's tensors once; then any step. Holds no reference to its arguments.
class StepCostModel {
 public:
  StepCostModel(const Checkpoint& checkpoint, const CacheLayout& cache);

  StepCost of(const StepShape& shape) const;
  WeightReads weight_reads() const;

 private:
  struct Weights {
    double bytes = 0;
    double int8_elements = 0;
    double float_elements = 0;
    void add(const Tensor& tensor);
  };
  static void add(const Weights& weights, double share_read, double rows, StepCost& cost);

  Weights dense_;    // every row needs them
  Weights experts_;  // all routed experts of all layers together
  Weights head_;     // only rows with logits
  double embedding_row_bytes_ = 0;
  double experts_count_ = 0;  // of one layer; 0: a dense model
  double experts_per_token_ = 0;
  double cache_bytes_per_token_ = 0;
  double attention_ops_per_pair_ = 0;  // one token looking at one position, all layers
};

// At least the time to read everything, and at least the time to compute everything. A ceiling of 0
// is unknown and limits nothing.
double least_seconds(const StepCost& cost, const MachineLimits& limits);

// Of `experts` experts, how many are expected to be chosen by at least one of `tokens` tokens that
// choose `per_token` each, all equally likely.
double expected_distinct_experts(double experts, double per_token, double tokens);

}  // namespace fathom
