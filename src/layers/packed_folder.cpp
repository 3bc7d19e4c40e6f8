#include "layers/packed_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

namespace fathom {

namespace fs = std::filesystem;

namespace {

// Left free on the disk for everybody else.
constexpr int64_t kSpareBytes = int64_t{1} << 30;
constexpr size_t kLongestName = 64;

struct Kept {
  fs::path path;
  int64_t bytes = 0;
  fs::file_time_type used;
};

// The lock goes with its holder, however that ends: what nobody has locked nobody is writing.
void remove_if_abandoned(const fs::path& part) {
  const int descriptor = ::open(part.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return;
  std::error_code ignored;
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) fs::remove(part, ignored);
  ::close(descriptor);
}

std::vector<Kept> kept_files(const fs::path& folder) {
  std::vector<Kept> kept;
  std::error_code error;
  for (fs::directory_iterator it(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code gone;
    if (it->path().extension() != kPackedSuffix || !it->is_regular_file(gone)) continue;
    Kept file{it->path(), static_cast<int64_t>(it->file_size(gone)), it->last_write_time(gone)};
    if (!gone) kept.push_back(std::move(file));
  }
  std::ranges::sort(kept, {}, &Kept::used);
  return kept;
}

void remove_remains(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> parts;
  for (fs::directory_iterator it(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    if (it->path().extension() == kPartSuffix) parts.push_back(it->path());
  }
  for (const fs::path& part : parts) remove_if_abandoned(part);
}

bool is_same_file(int descriptor, const fs::path& path) {
  struct stat mine{};
  struct stat named{};
  return ::fstat(descriptor, &mine) == 0 && ::stat(path.c_str(), &named) == 0 &&
         mine.st_dev == named.st_dev && mine.st_ino == named.st_ino;
}

}  // namespace

std::string packed_file_name(const std::string& name, uint64_t place, const std::string& kernels) {
  std::string plain = name.substr(0, kLongestName);
  for (char& c : plain) {
    const bool kept = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_';
    if (!kept) c = '-';
  }
  return fmt::format("{}-{:016x}-{}{}", plain, place, kernels, kPackedSuffix);
}

void mark_as_used(const fs::path& file) {
  (void)::utimensat(AT_FDCWD, file.c_str(), nullptr, 0);
}

Status make_room(const fs::path& folder, const fs::path& file, int64_t bytes, int64_t limit) {
  if (bytes > limit) {
    return fail("they take {:.1f} GB and the limit is {:.1f} GB", static_cast<double>(bytes) / 1e9,
                static_cast<double>(limit) / 1e9);
  }
  remove_remains(folder);
  std::vector<Kept> kept = kept_files(folder);
  std::erase_if(kept, [&](const Kept& one) { return one.path == file; });
  int64_t held = 0;
  for (const Kept& one : kept) held += one.bytes;
  for (const Kept& oldest : kept) {
    std::error_code error;
    if (held <= limit - bytes) break;
    if (fs::remove(oldest.path, error)) held -= oldest.bytes;
  }
  if (held > limit - bytes) return fail("older files there cannot be removed");
  return {};
}

Status check_disk(const fs::path& folder, int64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  // A file system that cannot say how full it is will tell when it is written to.
  if (!error && static_cast<double>(space.available) < static_cast<double>(bytes + kSpareBytes)) {
    return fail("the disk has {:.1f} GB left and they take {:.1f} GB",
                static_cast<double>(space.available) / 1e9, static_cast<double>(bytes) / 1e9);
  }
  return {};
}

Result<std::optional<PartFile>> PartFile::open(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) return fail("{} cannot be written: {}", path.string(), std::strerror(errno));
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    ::close(descriptor);
    if (error == EWOULDBLOCK) return std::nullopt;
    return fail("{} cannot be locked: {}", path.string(), std::strerror(error));
  }
  // Between opening and locking, its writer may have finished and given it its name.
  if (!is_same_file(descriptor, path)) {
    ::close(descriptor);
    return std::nullopt;
  }
  PartFile part(descriptor, path);
  if (::ftruncate(descriptor, 0) != 0) {
    return fail("{} cannot be written: {}", path.string(), std::strerror(errno));
  }
  return part;
}

PartFile::PartFile(PartFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

PartFile& PartFile::operator=(PartFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

PartFile::~PartFile() {
  if (descriptor_ < 0) return;
  if (is_same_file(descriptor_, path_)) ::unlink(path_.c_str());
  ::close(descriptor_);
}

Status PartFile::write(const std::byte* data, int64_t bytes, int64_t offset) {
  while (bytes > 0) {
    const ssize_t written = ::pwrite(descriptor_, data, static_cast<size_t>(bytes), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      return fail("{} cannot be written: {}", path_.string(),
                  written == 0 ? "the disk takes no more" : std::strerror(errno));
    }
    data += written;
    bytes -= written;
    offset += written;
  }
  return {};
}

Status PartFile::move_into_place(const fs::path& name) {
  if (::fsync(descriptor_) != 0 || ::rename(path_.c_str(), name.c_str()) != 0) {
    return fail("{} cannot be written: {}", path_.string(), std::strerror(errno));
  }
  return {};
}

}  // namespace fathom
