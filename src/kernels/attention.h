// Attention over a paged cache: GQA, and MLA in its absorbed form, are the same operation with
// other widths. For MLA there is one KV head whose key row is [latent | rotary key] and whose value
// is the first v_dim elements of that same row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace fathom {

enum class CachePart { kKey, kValue };

// What a cached element is. kInt8 is a code times the scale of its row: of a head's part of a
// token's row, or, with a split, of each of the two parts of that (MLA's latent and rotary key
// differ in size). A row x of largest magnitude m has
//
//   scale = m / 127,  code = x * (127 / m) rounded to the nearest, ties to even
//
// Rows with m below kLeastCachedRow are zero; one with an infinity or NaN is all NaN.
enum class CacheType : uint8_t { kF32, kF16, kBF16, kInt8 };

inline constexpr float kLeastCachedRow = 1e-30F;

std::string_view name(CacheType type);  // "f16", "int8": what users see

// One layer's share of the page pool. Token t of a sequence lives in page pages[t / page_tokens] at
// slot t % page_tokens. A page of this layer holds, one after the other,
//
//   the tokens' key rows [page_tokens, key_width], and their value rows unless values_in_keys
//   with kInt8 the scales, F32: of keys [kv_heads * (1 or 2), page_tokens], then of values
//   [kv_heads, page_tokens]. They may lie at any address.
struct CacheView {
  std::byte* base = nullptr;
  CacheType type = CacheType::kF16;  // F32: reference kernels only
  int64_t page_bytes = 0;            // from one page of this layer to the next
  int64_t page_tokens = 0;
  int64_t key_width = 0;    // elements in a token's key row: kv_heads * key_dim
  int64_t value_width = 0;  // kv_heads * value_dim; 0 if values_in_keys
  bool values_in_keys = false;
  int64_t kv_heads = 1;
  int64_t key_split = 0;  // a head's key elements from here on have a scale of their own; 0: none
};

// How one part's rows lie in a page: bytes from its start, and elements.
struct CacheRows {
  int64_t at = 0;  // of the first token's row
  int64_t element_bytes = 0;
  int64_t width = 0;      // of a token's row
  int64_t dim = 0;        // of a head's part of it
  int64_t scales_at = 0;  // with kInt8
  int64_t split = 0;      // a head's elements from here on have the second scale; dim: none have
};

// Values that are in the keys lie where the keys do.
CacheRows cache_rows(const CacheView& view, CachePart part);
// What a page of one layer takes.
int64_t cache_page_bytes(const CacheView& view);

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
