#include "kernels/packed/panels.h"

#include "base/assert.h"
#include "kernels/packed/panel_sections.h"

namespace fathom {

bool has_codes(DType dtype) {
  return info(dtype).quantized;
}

CodeFormat code_format(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0:
      return {.bits = 4, .offset = 8};
    case DType::kQ4_1:
      return {.bits = 4, .minimum = true};
    case DType::kQ5_0:
      return {.bits = 5, .offset = 16};
    case DType::kQ5_1:
      return {.bits = 5, .minimum = true};
    case DType::kQ8_0:
      return {.bits = 8};
    case DType::kQ2_K:
      return {.bits = 2, .group = 16, .minimum = true, .super_blocks = true};
    case DType::kQ3_K:
      return {.bits = 3, .offset = 4, .group = 16, .super_blocks = true};
    case DType::kQ4_K:
      return {.bits = 4, .minimum = true, .super_blocks = true};
    case DType::kQ5_K:
      return {.bits = 5, .minimum = true, .super_blocks = true};
    case DType::kQ6_K:
      return {.bits = 6, .offset = 32, .group = 16, .super_blocks = true};
    case DType::kI4_64:
      return {.bits = 4, .offset = 8, .group = 64};
    case DType::kI4_128:
      return {.bits = 4, .offset = 8, .group = 128};
    case DType::kI4Z_32:
      return {.bits = 4, .minimum = true, .zero_point = true};
    case DType::kI4Z_64:
      return {.bits = 4, .group = 64, .minimum = true, .zero_point = true};
    case DType::kI4Z_128:
      return {.bits = 4, .group = 128, .minimum = true, .zero_point = true};
    case DType::kI8_128:
      return {.bits = 8, .group = 128};
    case DType::kI8Row:
      return {.bits = 8, .row_scale = true};
    default:
      FATHOM_ASSERT(has_codes(dtype));
      return {};
  }
}

PanelLayout::PanelLayout(DType type, int64_t in_elements, int lanes, bool unsigned_codes,
                         bool one_vector)
    : dtype(type), in(in_elements), unsigned8(unsigned_codes), narrow(one_vector) {
  if (!has_codes(dtype)) {
    width = (narrow ? 1 : 2) * lanes;
    scale_offset = panel::round_up(in * width * panel::element_bytes(dtype), 32);
    const int64_t blocks = panel::round_up(in, panel::kF8ScaleColumns) / panel::kF8ScaleColumns;
    bytes = panel::round_up(scale_offset + (dtype == DType::kF8E4M3 ? blocks * 4 : 0), 64);
    return;
  }
  FATHOM_ASSERT(in % info(dtype).block_elements == 0);
  const CodeFormat format = code_format(dtype);
  width = lanes;
  scale_offset = in / panel::kBlock * panel::code_vectors(format.bits) * width * 4;
  const int64_t d_bytes = in / panel::elements_per_d(format) * width * 2;
  const int64_t group_bytes = in / format.group * width;
  int64_t scales = d_bytes;
  if (format.minimum && !format.zero_point) scales += d_bytes;
  if (format.super_blocks) scales += group_bytes;
  if (format.super_blocks && format.minimum && format.group == 32) scales += group_bytes;
  if (format.zero_point) scales += group_bytes;
  if (format.row_scale) scales = width * 4;
  bytes = panel::round_up(scale_offset + scales, 64);
}

namespace panel {

Sections sections(const PanelLayout& layout, std::byte* panel) {
  const CodeFormat format = code_format(layout.dtype);
  const int64_t d_bytes = layout.in / elements_per_d(format) * layout.width * 2;
  const int64_t group_bytes = layout.in / format.group * layout.width;
  Sections at{};
  at.d = panel + layout.scale_offset;
  at.m = at.d + d_bytes;
  at.scales = format.minimum ? at.m + d_bytes : at.m;
  at.minimums = format.zero_point ? at.m : at.scales + group_bytes;
  return at;
}

}  // namespace panel
}  // namespace fathom
