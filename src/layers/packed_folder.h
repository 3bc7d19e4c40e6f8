// The folder that files of packed weights are kept in, one for each checkpoint and set of kernels:
//
//   NAME-PLACE-KERNELS.packed   a finished file; when it was last modified says when it was last
//                               used
//   ....packed.part             one being written, locked by its writer; without a lock, the
//                               remains of a process that ended early
//
// Any number of processes may use a folder at once. Finished files are never changed, only replaced
// and removed, so that whoever has mapped one keeps it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"

namespace fathom {

inline constexpr const char* kPackedSuffix = ".packed";
inline constexpr const char* kPartSuffix = ".part";

// The file's name for a model called `name`; any text will do.
std::string packed_file_name(const std::string& name, uint64_t place, const std::string& kernels);

// So that it is removed after those that were used earlier. Does nothing where it may not.
void mark_as_used(const std::filesystem::path& file);

// Removes remains, and finished files from the least recently used on, until `bytes` more fit into
// `limit`; `file`, which will be replaced, does not count. Fails if they cannot.
Status make_room(const std::filesystem::path& folder, const std::filesystem::path& file,
                 int64_t bytes, int64_t limit);
// Fails if the disk has no room for so many bytes more, and some to spare.
Status check_disk(const std::filesystem::path& folder, int64_t bytes);

// An exclusive lock on a file that is being written; given up when the object goes.
class PartFile {
 public:
  // Creates the file, or takes over remains. Nothing if another process is writing it, or just has.
  static Result<std::optional<PartFile>> open(const std::filesystem::path& path);

  PartFile(PartFile&& other) noexcept;
  PartFile& operator=(PartFile&& other) noexcept;
  ~PartFile();  // removes the file unless it was moved into place

  Status write(const std::byte* data, int64_t bytes, int64_t offset);
  // Puts it on the disk and gives it its name, replacing what has it.
  Status move_into_place(const std::filesystem::path& name);

 private:
  PartFile(int descriptor, std::filesystem::path path)
      : descriptor_(descriptor), path_(std::move(path)) {}

  int descriptor_ = -1;
  std::filesystem::path path_;
};

}  // namespace fathom
