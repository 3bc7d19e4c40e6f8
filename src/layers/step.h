// What every layer of one forward() needs to know about the batch, worked out once: where each
// row's keys go in the cache, its rotation, and which rows belong to which sequence.
// Lives for one forward(); its arrays are in the workspace. One thread.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/kernels.h"
#include "layers/batch.h"
#include "layers/cache.h"
#include "layers/rope.h"
#include "layers/workspace.h"

namespace fathom {

// The rows of a step that have the same adapter.
struct LoraRows {
  const LoraWeights* adapter = nullptr;
  std::span<const int32_t> rows;  // ascending
};

struct Step {
  // Takes memory from the workspace: open a Workspace::Scope around the forward() first.
  Step(Kernels& kernels, Workspace& workspace, const RopeTable& rope, const Batch& batch,
       CachePool& cache, int64_t first_layer = 0);

  // Rotates `heads` heads of every row in place; the first starts at x, the next head_stride on.
  void rotate(float* x, int64_t stride, int64_t heads, int64_t head_stride) const;

  // Stores this step's keys (and values) of a layer, all rows of them, and only then attends, so a
  // sequence may read pages that another fills in the same step. Shapes: q [rows, heads * key_dim]
  // -> out [rows, heads * value_dim]. `value` is null where values are in the keys.
  void attend(int64_t layer, const AttentionShape& shape, const float* key, int64_t key_stride,
              const float* value, int64_t value_stride, const float* q, float* out) const;

  Kernels& kernels;
  Workspace& workspace;
  const RopeTable& rope;
  const Batch& batch;
  CachePool& cache;
  int64_t first_layer = 0;  // of the model's layers, the one that is the cache's first
  int64_t rows = 0;
  std::span<const CacheSlot> slots;      // [rows]
  const float* cos_sin = nullptr;        // [rows, rope.dim()]
  std::span<const int32_t> logits_rows;  // rows whose logits are wanted, ascending
  std::span<const LoraRows> lora;        // by adapter; none where no row has one

 private:
  void group_adapters();
};

}  // namespace fathom
