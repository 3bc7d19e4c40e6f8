#include "checkpoint/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/progress.h"

namespace fathom {

namespace {

std::unexpected<Error> cannot_write(const std::filesystem::path& path, int number) {
  return fail("{}: cannot be written: {}", path.string(), std::strerror(number));
}

// Takes the room. Where the file system cannot do that, asks at least how much there is.
Status reserve(int descriptor, const std::filesystem::path& path, int64_t bytes) {
  if (bytes == 0) return {};
  const int result = posix_fallocate(descriptor, 0, bytes);
  if (result == 0) return {};
  struct statvfs disk{};
  const bool known = fstatvfs(descriptor, &disk) == 0;
  const auto room =
      known ? static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize) : 0.0;
  if (result == ENOSPC || result == EFBIG || (known && room < static_cast<double>(bytes))) {
    return fail("{}: there is not enough space: {} are needed{}. Make room, or write elsewhere",
                path.string(), format_bytes(bytes),
                known ? fmt::format(", {} are free", format_bytes(static_cast<int64_t>(room)))
                      : std::string());
  }
  return ftruncate(descriptor, bytes) == 0 ? Status() : cannot_write(path, errno);
}

// A device, pipe or directory must not be replaced by a file, and rename() would: the first two.
Status check_replaceable(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto kind = std::filesystem::status(path, ignored).type();
  if (kind == std::filesystem::file_type::directory) return cannot_write(path, EISDIR);
  if (kind == std::filesystem::file_type::character || kind == std::filesystem::file_type::block ||
      kind == std::filesystem::file_type::fifo || kind == std::filesystem::file_type::socket) {
    return fail("{}: it is a device or pipe, not a place for a file. Name a file", path.string());
  }
  return {};
}

}  // namespace

Result<OutputFile> OutputFile::create(const OutputPlace& place, int64_t bytes) {
  FATHOM_CHECK(check_replaceable(place.path));
  std::filesystem::path temporary = place.temporary;
  if (temporary.empty()) {
    temporary = place.path;
    temporary += fmt::format(".partial-{}", getpid());
  }
  const int flags = place.resume ? 0 : O_CREAT | O_TRUNC;
  const int descriptor = open(temporary.c_str(), O_WRONLY | O_CLOEXEC | flags, 0666);
  if (descriptor < 0) return cannot_write(place.path, errno);
  OutputFile file(place.path, std::move(temporary), descriptor);
  if (!place.resume) {
    FATHOM_CHECK(reserve(descriptor, place.path, bytes));
    return file;
  }
  struct stat status{};
  if (fstat(descriptor, &status) != 0) return cannot_write(place.path, errno);
  if (status.st_size != bytes) {
    return fail("{} has {} bytes, not the {} that it was begun with", file.temporary_.string(),
                static_cast<int64_t>(status.st_size), bytes);
  }
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      kept_(other.kept_) {}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  if (!kept_) unlink(temporary_.c_str());
}

Status OutputFile::write(int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return cannot_write(path_, errno);
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += count;
  }
  return {};
}

Status OutputFile::sync() {
  if (fsync(descriptor_) != 0) return cannot_write(path_, errno);
  return {};
}

Status OutputFile::commit() {
  FATHOM_CHECK(sync());
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return cannot_write(path_, errno);
  close(std::exchange(descriptor_, -1));
  // The new name lasts once the directory is on the disk.
  const std::filesystem::path folder = std::filesystem::absolute(path_).parent_path();
  const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    fsync(directory);
    close(directory);
  }
  return {};
}

}  // namespace fathom
