#include "layers/step.h"

#include <algorithm>
#include <numeric>

namespace fathom {

Step::Step(Kernels& kernels_in, Workspace& workspace_in, const RopeTable& rope_in,
           const Batch& batch_in, CachePool& cache_in, int64_t first_layer_in)
    : kernels(kernels_in),
      workspace(workspace_in),
      rope(rope_in),
      batch(batch_in),
      cache(cache_in),
      first_layer(first_layer_in),
      rows(batch_in.tokens()) {
  auto* slot = workspace.array<CacheSlot>(rows);
  auto* position = workspace.array<int32_t>(rows);
  auto* wanted = workspace.array<int32_t>(rows);
  int64_t row = 0;
  int64_t wanted_count = 0;
  for (const BatchSequence& sequence : batch.sequences) {
    const auto count = static_cast<int64_t>(sequence.tokens.size());
    for (int64_t i = 0; i < count; ++i, ++row) {
      const int64_t p = sequence.position + i;
      position[row] = static_cast<int32_t>(p);
      slot[row] = {sequence.pages[static_cast<size_t>(p / CachePool::kPageTokens)],
                   static_cast<int32_t>(p % CachePool::kPageTokens)};
      const bool last = i + 1 == count;
      if (sequence.logits == BatchSequence::Logits::kAll ||
          (sequence.logits == BatchSequence::Logits::kLast && last)) {
        wanted[wanted_count++] = static_cast<int32_t>(row);
      }
    }
  }
  float* rotation = workspace.floats(rows * rope.dim());
  rope.fill(std::span(position, static_cast<size_t>(rows)), rotation);
  slots = {slot, static_cast<size_t>(rows)};
  cos_sin = rotation;
  logits_rows = {wanted, static_cast<size_t>(wanted_count)};
  group_adapters();
}

void Step::group_adapters() {
  int64_t adapted = 0;
  int64_t sequences = 0;
  for (const BatchSequence& sequence : batch.sequences) {
    if (sequence.adapter == nullptr) continue;
    adapted += static_cast<int64_t>(sequence.tokens.size());
    ++sequences;
  }
  if (sequences == 0) return;
  auto* groups = workspace.array<LoraRows>(sequences);
  auto* member = workspace.array<int32_t>(adapted);
  size_t count = 0;
  for (const BatchSequence& leader : batch.sequences) {
    const auto known = [&] {
      return std::any_of(groups, groups + count,
                         [&](const LoraRows& g) { return g.adapter == leader.adapter; });
    };
    if (leader.adapter == nullptr || known()) continue;
    int32_t* first = member;
    int32_t row = 0;
    for (const BatchSequence& sequence : batch.sequences) {
      const auto tokens = static_cast<int32_t>(sequence.tokens.size());
      if (sequence.adapter == leader.adapter) {
        std::iota(member, member + tokens, row);
        member += tokens;
      }
      row += tokens;
    }
    groups[count++] = {.adapter = leader.adapter, .rows = {first, member}};
  }
  lora = {groups, count};
}

void Step::rotate(float* x, int64_t stride, int64_t heads, int64_t head_stride) const {
  kernels.rope(x, stride, rows, heads, head_stride, rope.dim(), cos_sin, rope.interleaved());
}

void Step::attend(int64_t layer, const AttentionShape& shape, const float* key, int64_t key_stride,
                  const float* value, int64_t value_stride, const float* q, float* out) const {
  const CacheView view = cache.layer(layer - first_layer);
  kernels.store_cache(view, CachePart::kKey, key, key_stride, slots);
  if (value != nullptr) kernels.store_cache(view, CachePart::kValue, value, value_stride, slots);

  const auto count = static_cast<int64_t>(batch.sequences.size());
  const Workspace::Scope scope(workspace);
  auto* sequences = workspace.array<AttentionSequence>(count);
  int64_t row = 0;
  for (int64_t i = 0; i < count; ++i) {
    const BatchSequence& sequence = batch.sequences[static_cast<size_t>(i)];
    const auto tokens = static_cast<int64_t>(sequence.tokens.size());
    const int64_t q_stride = shape.heads * shape.key_dim;
    const int64_t out_stride = shape.heads * shape.value_dim;
    sequences[i] = {.q = q + row * q_stride,
                    .q_stride = q_stride,
                    .out = out + row * out_stride,
                    .out_stride = out_stride,
                    .rows = tokens,
                    .length = sequence.position + tokens,
                    .pages = sequence.pages.data()};
    row += tokens;
  }
  kernels.attention(shape, view, std::span(sequences, static_cast<size_t>(count)));
}

}  // namespace fathom
