// Facts about a checkpoint that follow from its configuration and tensor table alone: sizes,
// memory, tier. Reads no weights.
//
// How parameters are counted: every weight once (tied embeddings once, the scales of quantised
// blocks not at all); multi-token prediction layers apart, as DeepSeek does. Active parameters are
// those that one token's computation multiplies with: in a mixture of experts all but the routed
// experts that are not chosen and the input embedding, of which a token looks up one row (unless
// it is the output layer too); in a dense model all.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/model_config.h"
#include "tensor/dtype.h"

namespace fathom {

struct DTypeTotal {
  DType dtype = DType::kF32;
  int64_t tensors = 0;
  int64_t elements = 0;
  int64_t bytes = 0;
};

struct CheckpointDescription {
  int64_t parameters = 0;
  int64_t active_parameters = 0;
  int64_t mtp_parameters = 0;         // in neither of the above
  int64_t tensor_bytes = 0;           // of all tensors
  int64_t weight_bytes = 0;           // of those the model computes with: no MTP layers
  std::vector<DTypeTotal> by_dtype;   // most bytes first
  std::string quantization;           // of the matrices: "Q4_K + Q6_K", most bytes first
  int64_t cache_bytes_per_token = 0;  // keys and values, or MLA's latent and rotary key, in F16
  int64_t workspace_bytes = 0;        // activations of a prefill of 512 tokens, roughly
  Tier tier = Tier::kLite;
};

CheckpointDescription describe(const Checkpoint& checkpoint);

// To run with a context of this many tokens: weights, cache and workspace.
int64_t memory_bytes(const CheckpointDescription& description, int64_t context);

// Mixtures of experts are V1; dense models of up to 1.2 billion parameters Nano, larger ones Lite.
Tier tier_of(const ModelConfig& config, int64_t parameters);

// F16 bytes that one token adds to the cache.
int64_t cache_bytes_per_token(const ModelConfig& config);

}  // namespace fathom
