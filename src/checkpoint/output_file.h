// A large file being written: under a temporary name beside its own, whole or not at all. Its room
// on the disk is taken at once, so that a full disk shows before the work and not after it; parts
// may be written in any order. What is not committed is removed when the object goes, unless it is
// to be gone on with.
//
// One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"

namespace fathom {

struct OutputPlace {
  std::filesystem::path path;
  std::filesystem::path temporary = {};  // empty: beside `path`, under a name of this process's own
  bool resume = false;                   // `temporary` is there already, whole in its size
};

class OutputFile {
 public:
  // Fails where the path is a directory, device or pipe, the file cannot be made, or `bytes` have
  // no room; to resume, where there is no file of that size.
  static Result<OutputFile> create(const OutputPlace& place, int64_t bytes);
  static Result<OutputFile> create(const std::filesystem::path& path, int64_t bytes) {
    return create(OutputPlace{.path = path}, bytes);
  }
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) = delete;
  ~OutputFile();

  Status write(int64_t offset, std::span<const std::byte> bytes);
  // What was written lasts from here on, whatever happens to this process or the machine.
  Status sync();
  // The temporary file stays when the object goes.
  void keep() { kept_ = true; }
  // To the disk, then to its name; replaces a file of that name in one step.
  Status commit();

 private:
  OutputFile(std::filesystem::path path, std::filesystem::path temporary, int descriptor)
      : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  bool kept_ = false;
};

}  // namespace fathom
