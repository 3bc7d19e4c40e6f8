#include "hub/disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/progress.h"

namespace fathom::hub {
namespace fs = std::filesystem;

Status make_directories(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) {
    return fail(
        "{}: cannot make this directory: {}. Set XDG_CACHE_HOME to a place you may write to.",
        directory.string(), error.message());
  }
  return {};
}

Status check_free_space(const fs::path& directory, int64_t bytes) {
  struct statvfs info{};
  // A file system that cannot say how full it is gets the benefit of the doubt: writing will tell.
  if (statvfs(directory.c_str(), &info) != 0) return {};
  const double available = static_cast<double>(info.f_bavail) * static_cast<double>(info.f_frsize);
  if (static_cast<double>(bytes) > available) {
    return fail(
        "{}: not enough space: {} more are needed, {} are free. Make room, or set "
        "XDG_CACHE_HOME to a larger disk.",
        directory.string(), format_bytes(bytes), format_bytes(static_cast<int64_t>(available)));
  }
  return {};
}

Status move_into_place(const fs::path& from, const fs::path& to) {
  const int file = open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return fail("{}: cannot be opened: {}", from.string(), std::strerror(errno));
  const int flushed = fsync(file);
  const int flush_error = errno;
  close(file);
  if (flushed != 0) {
    return fail("{}: cannot be written to the disk: {}", from.string(), std::strerror(flush_error));
  }
  if (rename(from.c_str(), to.c_str()) != 0) {
    return fail("{}: cannot be moved to {}: {}", from.string(), to.string(), std::strerror(errno));
  }
  // The rename itself lasts once the directory is on the disk; if that fails the file is merely
  // fetched again after a power cut.
  const int directory = open(to.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    fsync(directory);
    close(directory);
  }
  return {};
}

Status write_file_atomically(const fs::path& path, std::string_view text) {
  fs::path neighbour = path;
  neighbour += ".new";
  const int file = open(neighbour.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return fail("{}: cannot be written: {}", path.string(), std::strerror(errno));
  bool written = true;
  while (!text.empty() && written) {
    const ssize_t count = write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count > 0) text.remove_prefix(static_cast<size_t>(count));
    written = count > 0;
  }
  const int write_error = errno;
  close(file);
  if (!written) {
    unlink(neighbour.c_str());
    return fail("{}: cannot be written: {}", path.string(), std::strerror(write_error));
  }
  if (rename(neighbour.c_str(), path.c_str()) != 0) {
    return fail("{}: cannot be written: {}", path.string(), std::strerror(errno));
  }
  return {};
}

Result<FileLock> FileLock::acquire(const fs::path& path, std::string_view purpose) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    return fail("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  }
  FileLock lock(descriptor);
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) {
    fmt::print(stderr, "Another process is {}; waiting for it.\n", purpose);
    int result = 0;
    do {
      result = flock(descriptor, LOCK_EX);
    } while (result != 0 && errno == EINTR);
    if (result == 0) return lock;
  }
  // Some network file systems have no locks. Two pulls at once may then do the work twice.
  if (errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS) return lock;
  return fail("{}: cannot be locked: {}", path.string(), std::strerror(errno));
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace fathom::hub
