// What fetching needs from the file system: room, a lock between processes, and a way to put a
// finished file in place in one step, so that another process sees all of it or nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace fathom::hub {

// Creates the directory and its parents.
Status make_directories(const std::filesystem::path& directory);

// Fails, with what is needed and what is there, if `directory` has no room for `bytes` more.
Status check_free_space(const std::filesystem::path& directory, int64_t bytes);

// Flushes the file to the disk, then renames it over `to` (same file system).
Status move_into_place(const std::filesystem::path& from, const std::filesystem::path& to);

// Writes a small file by way of a neighbour and a rename: readers see the old or the new text.
Status write_file_atomically(const std::filesystem::path& path, std::string_view text);

// An exclusive lock held by this process until the object goes, or the process ends in any way.
class FileLock {
 public:
  // Waits while another process holds it, and says on stderr that it does and for what.
  static Result<FileLock> acquire(const std::filesystem::path& path, std::string_view purpose);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace fathom::hub
