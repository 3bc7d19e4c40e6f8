// Mixed precision: which of a format's types each matrix, and in GGUF the embedding and the head,
// get so that all of them together fit into a budget and as little as possible is lost.
//
// What a tensor loses by a type is the share of its output's energy that rounding it changes,
//   sum (w' - w) H (w' - w)^T / sum w H w^T
// over a sample of its rows, rounded as the method will (without AWQ's factors and what GPTQ makes
// up for), H the second moments of its input over the calibration text, within groups
// (input_statistics.h); without a text, and for the embedding, inputs are taken
// to be independent and of equal size. Those of embedding and head count 2 * layers times, because
// a layer's matrices give one part of so many. Losses are taken to add up. Everything starts at its
// smallest type that its rows allow, and the budget is spent step by step where a byte wins most.
// What is stored or computed as one gets one type: experts that GGUF stacks; in a directory also q,
// k and v, and gate and up, which vLLM joins.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "compress/options.h"
#include "compress/tensor_plan.h"

namespace fathom {

struct TypeChoice {
  DType type = DType::kF16;
  int64_t bytes = 0;
  double loss = 0;
};

// For each unit the index of its choice; the sum of bytes is at most `bytes` unless the smallest
// choices already exceed it.
std::vector<size_t> spend_bytes(const std::vector<std::vector<TypeChoice>>& units, int64_t bytes);

// Gives the plan's quantised matrices their types, and embedding and head too, unless theirs are
// asked for, by options.target_bits (of all matrices, embedding and head, whatever their type) or
// options.target_bytes (of the whole file). Fails (kUsage) where even the smallest types exceed it.
Status assign_types(const Checkpoint& checkpoint, const QuantizeOptions& options,
                    OutputFormat format, std::vector<PlannedTensor>& plan);

}  // namespace fathom
