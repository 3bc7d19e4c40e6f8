// Any bytes as a file of packed weights: either matrices that all lie inside it and that no kernels
// would read past, or an error. Fingerprints would keep the fuzzer out, so every input is also
// tried with a frame around it whose fingerprints are right.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels/packed_file.h"

namespace {

void check(std::span<const std::byte> bytes) {
  static const auto kernels = fathom::Kernels::make(fathom::KernelChoice::kAuto, 1);
  const auto file = fathom::parse_packed_file(bytes, "fuzz.packed");
  if (!file) return;
  const auto size = static_cast<int64_t>(bytes.size());
  for (const fathom::PackedFileEntry& entry : file->entries) {
    if (entry.offset < 0 || entry.bytes <= 0 || entry.offset > size - entry.bytes) std::abort();
    if (file->find(entry.key) != &entry) std::abort();
    if (entry.dtype > static_cast<uint32_t>(fathom::DType::kBool)) continue;
    fathom::PackedMatrix matrix;
    matrix.out = entry.out;
    matrix.in = entry.in;
    matrix.bytes = entry.bytes;
    matrix.dtype = static_cast<fathom::DType>(entry.dtype);
    matrix.layout = static_cast<int>(entry.layout);
    static_cast<void>(kernels->can_be_packed(matrix));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  check(bytes);

  std::vector<fathom::PackedFileEntry> entries(size / sizeof(fathom::PackedFileEntry));
  if (!entries.empty()) {
    std::memcpy(entries.data(), data, entries.size() * sizeof(fathom::PackedFileEntry));
  }
  constexpr int64_t kIndexOffset = 4 * fathom::kPackedFileAlignment;
  const auto frame = fathom::frame_packed_file({1, "avx2", 1}, std::move(entries), kIndexOffset);
  std::vector<std::byte> framed(static_cast<size_t>(kIndexOffset));
  std::memcpy(framed.data(), frame.header.data(), frame.header.size());
  framed.insert(framed.end(), frame.index.begin(), frame.index.end());
  check(framed);
  return 0;
}
