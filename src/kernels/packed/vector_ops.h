// What an instruction set provides: leaf functions over raw pointers, made from the templates in
// kernels/simd. PackedKernels (packed_kernels.h) adds everything else: threads, scratch, cutting
// work into tiles. The split keeps code compiled with special flags away from the rest: nothing
// here allocates, throws or instantiates a library template, so that the linker can never merge an
// AVX function into the generic build.
//
// A row's result does not depend on which or how many rows share a call.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/attention.h"

namespace fathom {

// Activations for integer formats: a row becomes a record of
//   int8 codes [in], then for each variant in use a section of one entry for each block of 32:
//   { scale, factor * scale * (sum of the block's codes) }                        (group 32)
//   { scale, factor * scale * (sum of its first half), .. second half, unused }   (group 16)
// The sums fold a weight type's offset or minimum into the product.
struct ActivationVariant {
  int group = 32;
  float factor = 1.0F;
  int64_t offset = 0;  // bytes from the record's start
  bool operator==(const ActivationVariant&) const = default;
};
inline constexpr int kActivationVariants = 7;

// One tile of y = x W^T: `rows` rows of x times the panels of one chunk.
struct MatmulTile {
  const std::byte* panels = nullptr;
  int64_t panel_bytes = 0;
  int64_t panel_count = 0;
  const std::byte* next = nullptr;  // what the thread reads after these panels, if known
  bool resident = false;            // other rows have just gone past these panels
  int64_t scale_offset = 0;         // PanelLayout's
  int64_t in = 0;
  int64_t outputs = 0;  // that exist in these panels
  bool narrow = false;  // PanelLayout's
  int64_t rows = 0;
  const void* const* x = nullptr;  // [rows]: records, or F32 rows for float formats
  int64_t section = 0;             // the variant's offset in a record
  float* const* y = nullptr;       // [rows], at the first panel's first output
};

// One pass of attention: the query rows of one KV head's group of heads over cache positions
// [begin, end). Row m is token m / heads of the pass, head m % heads. Runs the online softmax
// (Milakov & Gimelshein 2018) in tiles of kAttentionTile cache tokens.
inline constexpr int64_t kAttentionTile = 32;

// What the pass after this one will read first: cache positions [begin, begin + count) of a head.
struct AttentionAhead {
  const int32_t* pages = nullptr;
  int64_t kv_head = 0;
  int64_t begin = 0;
  int64_t count = 0;  // at most kAttentionTile; 0: unknown
};

struct AttentionPass {
  int64_t rows = 0;       // tokens * heads
  int64_t heads = 0;      // of the group in this pass
  int64_t begin = 0;      // first cache position, a multiple of kAttentionTile
  int64_t end = 0;        // one after the last position that any row sees
  int64_t first_end = 0;  // one after the last position that token 0 of the pass sees
  int64_t key_dim = 0;
  int64_t value_dim = 0;
  const CacheView* cache = nullptr;
  const int32_t* pages = nullptr;
  int64_t kv_head = 0;
  CacheRows key_rows;
  CacheRows value_rows;
  AttentionAhead next;       // of the same layer: fetched while this pass computes
  const float* q = nullptr;  // [rows, key_stride], scaled, zero beyond key_dim
  float* tile = nullptr;     // scratch, of PackedKernels' size
  // Results: running maximum, sum of weights, and unnormalised sum of values [rows, value_stride].
  float* maximum = nullptr;
  float* total = nullptr;
  float* values = nullptr;
};

struct VectorOps {
  const char* name;
  int lanes;       // floats of a vector
  bool unsigned8;  // wants 8-bit codes plus 128
  int tile_rows;   // rows of x that a matmul tile computes at once

  void (*quantize_row)(const float* x, int64_t in, std::byte* record,
                       const ActivationVariant* variants, int variant_count);
  void (*matmul)(int dtype, const MatmulTile& tile);  // a DType

  // Dims rounded up to whole vectors.
  void (*attend)(const AttentionPass& pass);
  // Adds a later pass to an earlier one: both as in AttentionPass, over one row.
  void (*merge)(float* maximum, float* total, float* values, float other_maximum, float other_total,
                const float* other_values, int64_t value_dim);
  void (*finish)(const float* values, float total, int64_t value_dim, float* out);
  void (*scale_row)(const float* x, float scale, int64_t n, float* out);
  // To the cache's elements; the codes' scale is returned (kernels/attention.h).
  void (*to_half)(const float* x, int64_t n, void* out);
  void (*to_bfloat)(const float* x, int64_t n, void* out);
  float (*to_int8)(const float* x, int64_t n, void* out);

  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t cols, float* out);
  void (*rope)(float* head, int64_t dim, const float* cos_sin, bool interleaved);
  void (*swiglu)(const float* gate, const float* up, int64_t cols, float* out);
  void (*add)(float* x, const float* y, int64_t cols);
  void (*add_scaled)(const float* x, float scale, int64_t cols, float* out);

  // Arithmetic alone, to measure its peak; return the operations done.
  int64_t (*burn_codes)(int64_t iterations);
  int64_t (*burn_floats)(int64_t iterations);
};

// Null where the compiler cannot make them. Whether the CPU can run them is cpu_features.h's
// business.
const VectorOps* avx2_ops();
const VectorOps* avx512_ops();
const VectorOps* avx512_bf16_ops();  // avx512_ops() with attention over latent caches in BF16
const VectorOps* amx_ops();          // one of these with products of tiles
const VectorOps* neon_ops();
const VectorOps* neon_dotprod_ops();
const VectorOps* neon_i8mm_ops();

// The best of them that this CPU can run, or null.
const VectorOps* best_ops();

}  // namespace fathom
