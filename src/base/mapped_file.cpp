#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace fathom {

namespace {

constexpr size_t kHugePage = size_t{2} << 20;

// Closes on every way out; the mapping outlives its descriptor.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// A file's huge pages can be mapped as such only where address and offset agree, so that large
// files begin at a multiple of one.
void* map_file(int file, size_t size) {
  if (size < kHugePage) return ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  const size_t reserved = size + kHugePage;
  void* room =
      ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return MAP_FAILED;
  auto* begin = static_cast<std::byte*>(room);
  const auto past = reinterpret_cast<uintptr_t>(begin) % kHugePage;
  std::byte* aligned = past == 0 ? begin : begin + (kHugePage - past);
  void* data = ::mmap(aligned, size, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0);
  const int error = errno;
  if (data == MAP_FAILED) {
    ::munmap(room, reserved);
    errno = error;
    return MAP_FAILED;
  }
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  std::byte* end = aligned + (size + page - 1) / page * page;
  if (aligned > begin) ::munmap(begin, static_cast<size_t>(aligned - begin));
  if (begin + reserved > end) ::munmap(end, static_cast<size_t>(begin + reserved - end));
  return data;
}

// Whole pages: all that the part touches, or only those that nothing else touches.
enum class Pages { kTouched, kInside };

void advise(std::span<const std::byte> part, Pages pages, int advice) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  // How far into its page the part begins, and how far its last page goes beyond the end.
  const size_t before = reinterpret_cast<uintptr_t>(part.data()) % page;
  const std::byte* begin = part.data() - before;
  size_t size = before + part.size();
  if (pages == Pages::kInside) {
    const size_t skipped = before == 0 ? 0 : page;
    if (size < skipped) return;
    begin += skipped;
    size = (size - skipped) / page * page;
  }
  // Advice: refusing it is the system's right.
  if (size > 0) (void)::madvise(const_cast<std::byte*>(begin), size, advice);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) return fail("cannot open {}: {}", path.string(), std::strerror(errno));
  struct stat status{};
  if (::fstat(file.fd, &status) != 0) {
    return fail("cannot read {}: {}", path.string(), std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail("cannot read {}: it is {}, not a regular file", path.string(),
                S_ISDIR(status.st_mode) ? "a directory" : "a device or pipe");
  }
  const auto size = static_cast<size_t>(status.st_size);
  const int64_t modified =
      int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + int64_t{status.st_mtim.tv_nsec};
  if (size == 0) return MappedFile(path, nullptr, 0, modified);
  void* data = map_file(file.fd, size);
  if (data == MAP_FAILED) {
    return fail("cannot map {} ({} bytes) into memory: {}", path.string(), size,
                std::strerror(errno));
  }
  return MappedFile(path, static_cast<const std::byte*>(data), size, modified);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      modified_(other.modified_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(modified_, other.modified_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::prefetch(std::span<const std::byte> part) const {
  advise(part, Pages::kTouched, MADV_WILLNEED);
}

void MappedFile::release(std::span<const std::byte> part) const {
  advise(part, Pages::kInside, MADV_DONTNEED);
}

void MappedFile::populate(std::span<const std::byte> part) const {
#if defined(MADV_POPULATE_READ)
  advise(part, Pages::kTouched, MADV_POPULATE_READ);
#else
  prefetch(part);
#endif
}

void MappedFile::prefer_huge_pages() const {
#if defined(MADV_HUGEPAGE)
  advise(bytes(), Pages::kTouched, MADV_HUGEPAGE);
#endif
}

}  // namespace fathom
