// The file in which packed matrices are kept between two starts, to be mapped and used as it is.
// Little-endian, one writer, any readers:
//
//   0     a header of one page: what the file was made of and for, where the index is, and a
//         fingerprint of each
//   4096  matrices as Kernels::pack() made them, each at a multiple of 4096
//   then  the index, an entry for each matrix by ascending key, up to the end of the file
//
// parse_packed_file() takes any bytes: what it returns lies inside them, or it says what is wrong.
// Whether a matrix suits the kernels is theirs to say (Kernels::can_be_packed). The matrices' own
// bytes have no fingerprint, because reading them all is what the file is there to avoid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/kernels.h"

namespace fathom {

inline constexpr int64_t kPackedFileAlignment = 4096;

// What a file must agree with to be used.
struct PackedFileOrigin {
  uint64_t checkpoint = 0;  // its identity
  std::string kernels;      // Kernels::name(), at most 31 characters
  uint32_t layout_version = 0;

  bool operator==(const PackedFileOrigin&) const = default;
};

struct PackedFileEntry {
  uint64_t key = 0;  // the writer's name for the matrix
  int64_t out = 0;
  int64_t in = 0;
  uint32_t dtype = 0;
  uint32_t layout = 0;
  int64_t offset = 0;  // of the file
  int64_t bytes = 0;
};

struct PackedFile {
  PackedFileOrigin origin;
  std::vector<PackedFileEntry> entries;  // ascending keys

  const PackedFileEntry* find(uint64_t key) const;
};

Result<PackedFile> parse_packed_file(std::span<const std::byte> bytes, const std::string& file);

// Where the matrix after one that ends at `end` begins; the first begins at the alignment.
int64_t next_packed_offset(int64_t end);

// What the writer puts around the matrices: the index at `index_offset`, which must be a
// next_packed_offset(), then the header, one page, at 0.
struct PackedFileFrame {
  std::vector<std::byte> header;
  std::vector<std::byte> index;
};
PackedFileFrame frame_packed_file(const PackedFileOrigin& origin,
                                  std::vector<PackedFileEntry> entries, int64_t index_offset);

}  // namespace fathom
