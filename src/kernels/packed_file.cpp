#include "kernels/packed_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/assert.h"
#include "base/fingerprint.h"

namespace fathom {

namespace {

static_assert(std::endian::native == std::endian::little, "packed files are little-endian");

constexpr std::array<char, 8> kMagic = {'F', 'A', 'T', 'H', 'O', 'M', 'P', 'W'};
constexpr uint32_t kFormat = 1;

// Far more than any matrix has, and its bytes can still be counted.
constexpr int64_t kMostElements = int64_t{1} << 48;

struct Header {
  std::array<char, 8> magic;
  uint32_t format;
  uint32_t layout_version;
  uint64_t checkpoint;
  std::array<char, 32> kernels;  // ends in zeros
  uint64_t file_bytes;
  uint64_t index_offset;
  uint64_t entries;
  uint64_t index_fingerprint;
  uint64_t header_fingerprint;  // of all above
};
static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) == 96);
static_assert(std::is_trivially_copyable_v<PackedFileEntry> && sizeof(PackedFileEntry) == 48);

uint64_t fingerprint(std::span<const std::byte> bytes) {
  Fingerprint result;
  result.add(bytes);
  return result.value();
}

uint64_t header_fingerprint(const Header& header) {
  return fingerprint(
      std::as_bytes(std::span(&header, 1)).first(offsetof(Header, header_fingerprint)));
}

Status check_entry(const PackedFileEntry& entry, int64_t matrices_end, const std::string& file) {
  const bool inside = entry.offset >= kPackedFileAlignment &&
                      entry.offset % kPackedFileAlignment == 0 && entry.bytes > 0 &&
                      entry.offset <= matrices_end && entry.bytes <= matrices_end - entry.offset;
  const bool possible = entry.out > 0 && entry.in > 0 && entry.in <= kMostElements / entry.out;
  if (!inside || !possible) {
    return fail("{} is damaged: a matrix [{}, {}] of {} bytes at {} does not lie between {} and {}",
                file, entry.out, entry.in, entry.bytes, entry.offset, kPackedFileAlignment,
                matrices_end);
  }
  return {};
}

Result<Header> read_header(std::span<const std::byte> bytes, const std::string& file) {
  Header header;
  if (bytes.size() < static_cast<size_t>(kPackedFileAlignment)) {
    return fail("{} is cut off: it has {} bytes, its header alone {}", file, bytes.size(),
                kPackedFileAlignment);
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kMagic) return fail("{} does not hold packed weights", file);
  if (header.format != kFormat) {
    return fail("{} is of format {}, expected {}", file, header.format, kFormat);
  }
  if (header.header_fingerprint != header_fingerprint(header)) {
    return fail("{} is damaged: its header has changed", file);
  }
  if (header.file_bytes != bytes.size()) {
    return fail("{} is cut off: it has {} bytes, expected {}", file, bytes.size(),
                header.file_bytes);
  }
  const uint64_t size = bytes.size();
  if (header.index_offset % kPackedFileAlignment != 0 || header.index_offset > size ||
      (size - header.index_offset) % sizeof(PackedFileEntry) != 0 ||
      (size - header.index_offset) / sizeof(PackedFileEntry) != header.entries) {
    return fail("{} is damaged: an index of {} matrices at {} does not end with the file", file,
                header.entries, header.index_offset);
  }
  return header;
}

}  // namespace

const PackedFileEntry* PackedFile::find(uint64_t key) const {
  const auto found = std::ranges::lower_bound(entries, key, {}, &PackedFileEntry::key);
  return found != entries.end() && found->key == key ? &*found : nullptr;
}

Result<PackedFile> parse_packed_file(std::span<const std::byte> bytes, const std::string& file) {
  FATHOM_TRY(const Header header, read_header(bytes, file));
  const auto index = bytes.subspan(header.index_offset);
  if (header.index_fingerprint != fingerprint(index)) {
    return fail("{} is damaged: its index has changed", file);
  }
  PackedFile packed;
  packed.origin.checkpoint = header.checkpoint;
  packed.origin.layout_version = header.layout_version;
  const auto name_end = std::ranges::find(header.kernels, '\0');
  packed.origin.kernels.assign(header.kernels.begin(), name_end);
  packed.entries.resize(header.entries);
  if (!index.empty()) std::memcpy(packed.entries.data(), index.data(), index.size());
  for (size_t i = 0; i < packed.entries.size(); ++i) {
    const auto matrices_end = static_cast<int64_t>(header.index_offset);
    FATHOM_CHECK(check_entry(packed.entries[i], matrices_end, file));
    if (i > 0 && packed.entries[i - 1].key >= packed.entries[i].key) {
      return fail("{} is damaged: its index is not in order", file);
    }
  }
  return packed;
}

int64_t next_packed_offset(int64_t end) {
  return (end + kPackedFileAlignment - 1) / kPackedFileAlignment * kPackedFileAlignment;
}

PackedFileFrame frame_packed_file(const PackedFileOrigin& origin,
                                  std::vector<PackedFileEntry> entries, int64_t index_offset) {
  FATHOM_ASSERT(index_offset % kPackedFileAlignment == 0);
  std::ranges::sort(entries, {}, &PackedFileEntry::key);
  const auto index = std::as_bytes(std::span(entries));
  Header header{};
  header.magic = kMagic;
  header.format = kFormat;
  header.layout_version = origin.layout_version;
  header.checkpoint = origin.checkpoint;
  FATHOM_ASSERT(origin.kernels.size() < header.kernels.size());
  std::ranges::copy(origin.kernels, header.kernels.begin());
  header.index_offset = static_cast<uint64_t>(index_offset);
  header.file_bytes = header.index_offset + index.size();
  header.entries = entries.size();
  header.index_fingerprint = fingerprint(index);
  header.header_fingerprint = header_fingerprint(header);

  PackedFileFrame frame;
  frame.header.resize(static_cast<size_t>(kPackedFileAlignment));
  std::memcpy(frame.header.data(), &header, sizeof header);
  frame.index.assign(index.begin(), index.end());
  return frame;
}

}  // namespace fathom
