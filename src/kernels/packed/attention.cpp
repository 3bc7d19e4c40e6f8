#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "kernels/packed/packed_kernels.h"

namespace fathom {
namespace {

// A pass holds the scores, queries and sums of this many query rows in L2.
constexpr int64_t kPassRows = 48;
constexpr int64_t kPassHeads = 16;
constexpr auto kScaleBytes = static_cast<int64_t>(sizeof(float));

int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

struct Strides {
  int64_t key, value, tile;  // floats

  Strides(const AttentionShape& shape, const CacheView& cache, int64_t rows, int lanes)
      : key(round_up(shape.key_dim, lanes)), value(round_up(shape.value_dim, lanes)) {
    tile = kAttentionTile * (key + (cache.values_in_keys ? 0 : value) + rows);
    // The queries and weights of a latent cache, once more as BF16.
    if (cache.values_in_keys) tile += rows * (key + kAttentionTile) / 2;
    tile = round_up(tile, 16);
  }
};

}  // namespace

int64_t PackedKernels::AttentionTask::stretches() const {
  return (end() + kStretch - 1) / kStretch;
}

AttentionAhead PackedKernels::AttentionTask::from(int64_t position) const {
  return {sequence->pages, kv_head(), position, std::min(kAttentionTile, end() - position)};
}

void PackedKernels::attend(const AttentionTask& task, const AttentionTask* next, int thread) {
  const AttentionShape& shape = *task.shape;
  const AttentionSequence& sequence = *task.sequence;
  const int64_t rows = task.rows();
  const Strides stride(shape, *task.cache, rows, ops_.lanes);
  const int64_t result_floats = rows * (stride.value + 2);
  float* scratch = scratch_[static_cast<size_t>(thread)].grow_floats(
      round_up(rows * stride.key, 16) + stride.tile + 2 * round_up(result_floats, 16));
  float* q = scratch;
  float* tile = q + round_up(rows * stride.key, 16);
  float* sums = tile + stride.tile;
  float* stretch_sums = sums + round_up(result_floats, 16);
  if (task.stretch >= 0) sums = reinterpret_cast<float*>(partial_.data()) + task.partial;

  for (int64_t m = 0; m < rows; ++m) {
    const int64_t token = task.first_token + m / task.heads;
    const int64_t head = task.first_head + m % task.heads;
    float* row = q + m * stride.key;
    ops_.scale_row(sequence.q + token * sequence.q_stride + head * shape.key_dim, shape.scale,
                   shape.key_dim, row);
    std::fill(row + shape.key_dim, row + stride.key, 0.0F);
  }
  AttentionPass pass;
  pass.rows = rows;
  pass.heads = task.heads;
  pass.first_end = sequence.length - sequence.rows + task.first_token + 1;
  pass.key_dim = shape.key_dim;
  pass.value_dim = shape.value_dim;
  pass.cache = task.cache;
  pass.pages = sequence.pages;
  pass.kv_head = task.kv_head();
  pass.key_rows = cache_rows(*task.cache, CachePart::kKey);
  pass.value_rows = cache_rows(*task.cache, CachePart::kValue);
  pass.q = q;
  pass.tile = tile;

  const int64_t first = task.stretch >= 0 ? task.stretch : 0;
  const int64_t last = task.stretch >= 0 ? task.stretch + 1 : task.stretches();
  for (int64_t s = first; s < last; ++s) {
    float* to = s == first ? sums : stretch_sums;
    pass.begin = s * AttentionTask::kStretch;
    pass.end = std::min(task.end(), pass.begin + AttentionTask::kStretch);
    if (s + 1 < last) {
      pass.next = task.from(pass.end);
    } else {
      pass.next = next != nullptr ? next->from(next->begin()) : AttentionAhead{};
    }
    pass.values = to;
    pass.maximum = to + rows * stride.value;
    pass.total = pass.maximum + rows;
    ops_.attend(pass);
    if (s == first) continue;
    for (int64_t m = 0; m < rows; ++m) {
      if (pass.total[m] == 0.0F) continue;  // a token that comes before this stretch
      float* maximum = sums + rows * stride.value + m;
      ops_.merge(maximum, maximum + rows, sums + m * stride.value, pass.maximum[m], pass.total[m],
                 to + m * stride.value, shape.value_dim);
    }
  }
  if (task.stretch >= 0) return;
  for (int64_t m = 0; m < rows; ++m) {
    const int64_t token = task.first_token + m / task.heads;
    const int64_t head = task.first_head + m % task.heads;
    ops_.finish(sums + m * stride.value, sums[rows * (stride.value + 1) + m], shape.value_dim,
                sequence.out + token * sequence.out_stride + head * shape.value_dim);
  }
}

void PackedKernels::attention(const AttentionShape& shape, const CacheView& cache,
                              std::span<const AttentionSequence> sequences) {
  FATHOM_ASSERT(cache.type != CacheType::kF32);
  FATHOM_ASSERT(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0);
  const int64_t group = shape.heads / shape.kv_heads;
  const int64_t enough = pool_.size() * int64_t{2};

  // Cut by tokens and heads, and later by stretches of the cache; heads are kept together as long
  // as that gives all threads something, because they share what is read of the cache and widened.
  int64_t stretches = 0;
  for (int64_t heads_each = std::min(group, kPassHeads);; heads_each = (heads_each + 1) / 2) {
    tasks_.clear();
    stretches = 0;
    for (const AttentionSequence& sequence : sequences) {
      const int64_t tokens_each = std::max<int64_t>(1, kPassRows / heads_each);
      for (int64_t token = 0; token < sequence.rows; token += tokens_each) {
        for (int64_t head = 0; head < shape.heads; head += group) {
          for (int64_t h = 0; h < group; h += heads_each) {
            tasks_.push_back({&shape, &cache, &sequence, token,
                              std::min(tokens_each, sequence.rows - token), head + h,
                              std::min(heads_each, group - h), AttentionTask::kAll, 0});
            stretches += tasks_.back().stretches();
          }
        }
      }
    }
    if (stretches >= enough || heads_each <= 4) break;
  }
  const size_t whole = tasks_.size();
  int64_t floats = 0;
  if (static_cast<int64_t>(whole) < enough) {
    for (size_t i = 0; i < whole; ++i) {
      AttentionTask task = tasks_[i];
      if (task.stretches() < 2) continue;
      const Strides stride(shape, cache, task.rows(), ops_.lanes);
      tasks_[i].partial = floats;
      tasks_[i].stretch = AttentionTask::kMerge;
      for (task.stretch = 0; task.stretch < task.stretches(); ++task.stretch) {
        task.partial = floats;
        floats += round_up(task.rows() * (stride.value + 2), 16);
        tasks_.push_back(task);
      }
    }
    partial_.grow_floats(floats);
  }
  pool_.parallel_for(
      static_cast<int64_t>(tasks_.size()), 1, [&](int thread, int64_t i, int64_t /*end*/) {
        const auto at = static_cast<size_t>(i);
        const AttentionTask* next = at + 1 < tasks_.size() ? &tasks_[at + 1] : nullptr;
        if (tasks_[at].stretch != AttentionTask::kMerge) {
          attend(tasks_[at], next, thread);
        }
      });
  if (floats == 0) return;
  for (size_t i = 0; i < whole; ++i) {
    const AttentionTask& task = tasks_[i];
    if (task.stretch != AttentionTask::kMerge) continue;
    const int64_t rows = task.rows();
    const Strides stride(shape, cache, rows, ops_.lanes);
    const int64_t each = round_up(rows * (stride.value + 2), 16);
    float* sums = reinterpret_cast<float*>(partial_.data()) + task.partial;
    for (int64_t m = 0; m < rows; ++m) {
      float* maximum = sums + rows * stride.value + m;
      for (int64_t s = 1; s < task.stretches(); ++s) {
        const float* other = sums + s * each;
        const float other_total = other[rows * (stride.value + 1) + m];
        if (other_total == 0.0F) continue;
        ops_.merge(maximum, maximum + rows, sums + m * stride.value, other[rows * stride.value + m],
                   other_total, other + m * stride.value, shape.value_dim);
      }
      const int64_t token = task.first_token + m / task.heads;
      const int64_t head = task.first_head + m % task.heads;
      ops_.finish(sums + m * stride.value, maximum[rows], shape.value_dim,
                  task.sequence->out + token * task.sequence->out_stride + head * shape.value_dim);
    }
  }
}

void PackedKernels::store_cache(const CacheView& cache, CachePart part, const float* x,
                                int64_t stride, std::span<const CacheSlot> slots) {
  FATHOM_ASSERT(cache.type != CacheType::kF32);
  const CacheRows rows = cache_rows(cache, part);
  for (size_t i = 0; i < slots.size(); ++i) {
    std::byte* page = cache.base + slots[i].page * cache.page_bytes;
    const float* row = x + static_cast<int64_t>(i) * stride;
    std::byte* to = page + rows.at + slots[i].slot * rows.width * rows.element_bytes;
    if (cache.type == CacheType::kF16) {
      ops_.to_half(row, rows.width, to);
    } else if (cache.type == CacheType::kBF16) {
      ops_.to_bfloat(row, rows.width, to);
    } else {
      std::byte* scale = page + rows.scales_at + slots[i].slot * kScaleBytes;
      const auto quantize = [&](int64_t begin, int64_t count) {
        const float made = ops_.to_int8(row + begin, count, to + begin);
        std::memcpy(scale, &made, sizeof made);
        scale += cache.page_tokens * kScaleBytes;
      };
      for (int64_t begin = 0; begin < rows.width; begin += rows.dim) {
        quantize(begin, rows.split);
        if (rows.split < rows.dim) quantize(begin + rows.split, rows.dim - rows.split);
      }
    }
  }
}

}  // namespace fathom
