#include "tensor/dtype.h"

#include <array>

#include "base/assert.h"

namespace fathom {

namespace {

// In the order of the enumeration.
constexpr std::array<DTypeInfo, 28> kInfo{{
    {"F32", 1, 4, false, true},       {"F16", 1, 2, false, true},
    {"BF16", 1, 2, false, true},      {"F8E4M3", 1, 1, false, true},
    {"Q4_0", 32, 18, true, true},     {"Q4_1", 32, 20, true, true},
    {"Q5_0", 32, 22, true, true},     {"Q5_1", 32, 24, true, true},
    {"Q8_0", 32, 34, true, true},     {"Q2_K", 256, 84, true, true},
    {"Q3_K", 256, 110, true, true},   {"Q4_K", 256, 144, true, true},
    {"Q5_K", 256, 176, true, true},   {"Q6_K", 256, 210, true, true},
    {"I4_64", 64, 34, true, true},    {"I4_128", 128, 66, true, true},
    {"I4Z_32", 32, 19, true, true},   {"I4Z_64", 64, 35, true, true},
    {"I4Z_128", 128, 67, true, true}, {"I8_128", 128, 130, true, true},
    {"I8_ROW", 32, 32, true, true},   {"F64", 1, 8, false, false},
    {"I8", 1, 1, false, false},       {"I16", 1, 2, false, false},
    {"I32", 1, 4, false, false},      {"I64", 1, 8, false, false},
    {"U8", 1, 1, false, false},       {"BOOL", 1, 1, false, false},
}};
static_assert(kInfo.size() == static_cast<size_t>(DType::kBool) + 1);

}  // namespace

const DTypeInfo& info(DType dtype) {
  return kInfo[static_cast<size_t>(dtype)];
}

int64_t byte_size(DType dtype, int64_t elements) {
  const DTypeInfo& type = info(dtype);
  FATHOM_ASSERT(elements % type.block_elements == 0);
  return elements / type.block_elements * type.block_bytes;
}

}  // namespace fathom
