#include "kernels/attention.h"

namespace fathom {
namespace {

int64_t element_bytes(CacheType type) {
  switch (type) {
    case CacheType::kF32:
      return 4;
    case CacheType::kF16:
    case CacheType::kBF16:
      return 2;
    case CacheType::kInt8:
      return 1;
  }
  return 0;
}

int64_t scale_bytes(const CacheView& view, const CacheRows& rows) {
  if (view.type != CacheType::kInt8) return 0;
  return view.page_tokens * view.kv_heads * (rows.split < rows.dim ? 2 : 1) *
         static_cast<int64_t>(sizeof(float));
}

}  // namespace

std::string_view name(CacheType type) {
  switch (type) {
    case CacheType::kF32:
      return "f32";
    case CacheType::kF16:
      return "f16";
    case CacheType::kBF16:
      return "bf16";
    case CacheType::kInt8:
      return "int8";
  }
  return "";
}

CacheRows cache_rows(const CacheView& view, CachePart part) {
  CacheRows keys;
  keys.element_bytes = element_bytes(view.type);
  keys.width = view.key_width;
  keys.dim = keys.width / view.kv_heads;
  keys.split = view.key_split > 0 ? view.key_split : keys.dim;
  const int64_t row_bytes = keys.element_bytes * (view.key_width + view.value_width);
  keys.scales_at = view.page_tokens * row_bytes;
  if (part == CachePart::kKey || view.values_in_keys) return keys;
  CacheRows values;
  values.at = view.page_tokens * keys.element_bytes * keys.width;
  values.element_bytes = keys.element_bytes;
  values.width = view.value_width;
  values.dim = values.split = values.width / view.kv_heads;
  values.scales_at = keys.scales_at + scale_bytes(view, keys);
  return values;
}

int64_t cache_page_bytes(const CacheView& view) {
  const CacheRows last = cache_rows(view, CachePart::kValue);
  return last.scales_at + scale_bytes(view, last);
}

}  // namespace fathom
