// Attention over a paged cache: GQA, and MLA in its absorbed form, are the same operation with
// other widths. For MLA there is one KV head whose key row is [latent | rotary key] and whose value
// is the first v_dim elements of that same row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/dtype.h"

namespace fathom {

enum class CachePart { kKey, kValue };

// One layer's share of the page pool. Token t of a sequence lives in page pages[t / page_tokens] at
// slot t % page_tokens:  key row = base + page * page_bytes + slot * key_width * sizeof(dtype),
// value rows of the page follow its key rows, unless values_in_keys.
struct CacheView {
  std::byte* base = nullptr;
  DType dtype = DType::kF16;  // F32 or F16
  int64_t page_bytes = 0;     // from one page of this layer to the next
  int64_t page_tokens = 0;
  int64_t key_width = 0;    // elements in a token's key row: kv_heads * key_dim
  int64_t value_width = 0;  // kv_heads * value_dim; 0 if values_in_keys
  bool values_in_keys = false;
};

// Where a new token's row goes.
struct CacheSlot {
  int32_t page;
  int32_t slot;
};

struct AttentionShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;  // heads % kv_heads == 0; head h reads KV head h / (heads / kv_heads)
  int64_t key_dim = 0;
  int64_t value_dim = 0;
  float scale = 1.0F;  // of q . k
};

// The new tokens of one sequence. They are the last `rows` of `length` tokens in the cache, their
// own keys and values already stored; token i sees cache positions 0 .. length - rows + i.
struct AttentionSequence {
  const float* q = nullptr;  // [rows, heads * key_dim]
  int64_t q_stride = 0;
  float* out = nullptr;  // [rows, heads * value_dim]
  int64_t out_stride = 0;
  int64_t rows = 0;
  int64_t length = 0;
  const int32_t* pages = nullptr;  // page table, ceil(length / page_tokens) entries
};

}  // namespace fathom
