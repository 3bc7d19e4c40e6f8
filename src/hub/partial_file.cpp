#include "hub/partial_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/assert.h"
#include "hub/disk.h"

namespace fathom::hub {
namespace fs = std::filesystem;
namespace {

std::unexpected<Error> write_failure(const fs::path& path, int error) {
  if (error == ENOSPC || error == EDQUOT) {
    return fail("{}: the disk is full. Make room, or set XDG_CACHE_HOME to a larger disk.",
                path.string());
  }
  if (error == EFBIG) {
    return fail(
        "{}: the file would be larger than this file system or the process's limit "
        "(ulimit -f) allows.",
        path.string());
  }
  return fail("{}: cannot be written: {}", path.string(), std::strerror(error));
}

int64_t integer(const nlohmann::json& value) {
  return value.is_number_integer() &&
                 !(value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX})
             ? value.get<int64_t>()
             : -1;
}

}  // namespace

Result<PartialFile> PartialFile::open(fs::path path, int64_t size, std::string digest,
                                      int64_t piece_bytes) {
  FATHOM_ASSERT(size >= 0);
  PartialFile file(std::move(path), size, std::move(digest));
  file.descriptor_ = ::open(file.path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file.descriptor_ < 0) return write_failure(file.path_, errno);
  if (file.load_state()) {
    file.resumed_ = file.done() > 0;
  } else {
    file.split(piece_bytes);
    file.dirty_ = true;
  }
  struct stat info{};
  if (fstat(file.descriptor_, &info) != 0) return write_failure(file.path_, errno);
  if (info.st_size > size && ftruncate(file.descriptor_, size) != 0) {
    return write_failure(file.path_, errno);
  }
  // Where space cannot be taken ahead, the file grows as it is written.
  if (size > 0 && fallocate(file.descriptor_, 0, 0, size) != 0 &&
      (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
    const int error = errno;
    if (!file.resumed_) file.remove();
    return write_failure(file.path_, error);
  }
  return file;
}

PartialFile::PartialFile(PartialFile&& other) noexcept
    : path_(std::move(other.path_)),
      digest_(std::move(other.digest_)),
      etag_(std::move(other.etag_)),
      pieces_(std::move(other.pieces_)),
      size_(other.size_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      resumed_(other.resumed_),
      dirty_(other.dirty_) {}

PartialFile::~PartialFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

fs::path PartialFile::state_path() const {
  fs::path path = path_;
  path += ".json";
  return path;
}

bool PartialFile::load_state() {
  std::ifstream stream(state_path(), std::ios::binary);
  if (!stream) return false;
  const auto state = nlohmann::json::parse(stream, nullptr, false);
  if (!state.is_object() || !state.contains("pieces") || !state["pieces"].is_array() ||
      integer(state.value("size", nlohmann::json())) != size_ ||
      state.value("digest", nlohmann::json()) != digest_) {
    return false;
  }
  int64_t reached = 0;
  for (const auto& entry : state["pieces"]) {
    if (!entry.is_array() || entry.size() != 3) return false;
    const Piece piece{integer(entry[0]), integer(entry[1]), integer(entry[2])};
    if (piece.begin != reached || piece.end <= piece.begin || piece.done < 0 ||
        piece.done > piece.end - piece.begin) {
      return false;
    }
    reached = piece.end;
    pieces_.push_back(piece);
  }
  if (reached != size_) {
    pieces_.clear();
    return false;
  }
  const auto etag = state.value("etag", nlohmann::json());
  etag_ = etag.is_string() ? etag.get<std::string>() : "";
  return true;
}

void PartialFile::split(int64_t piece_bytes) {
  pieces_.clear();
  if (piece_bytes <= 0) piece_bytes = std::max<int64_t>(size_, 1);
  for (int64_t begin = 0; begin < size_; begin += piece_bytes) {
    pieces_.push_back({begin, begin + std::min(piece_bytes, size_ - begin), 0});
  }
}

int64_t PartialFile::done() const {
  int64_t bytes = 0;
  for (const auto& piece : pieces_) bytes += piece.done;
  return bytes;
}

void PartialFile::set_etag(std::string etag) {
  dirty_ = dirty_ || etag != etag_;
  etag_ = std::move(etag);
}

Status PartialFile::write(size_t piece, std::span<const std::byte> bytes) {
  Piece& target = pieces_[piece];
  FATHOM_ASSERT(static_cast<int64_t>(bytes.size()) <= target.end - target.position());
  while (!bytes.empty()) {
    const ssize_t count = pwrite(descriptor_, bytes.data(), bytes.size(), target.position());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return write_failure(path_, count < 0 ? errno : ENOSPC);
    target.done += count;
    dirty_ = true;
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

void PartialFile::restart(int64_t piece_bytes) {
  split(piece_bytes);
  etag_.clear();
  resumed_ = false;
  dirty_ = true;
}

Status PartialFile::record() {
  if (!dirty_) return {};
  auto pieces = nlohmann::json::array();
  for (const auto& piece : pieces_) pieces.push_back({piece.begin, piece.end, piece.done});
  const nlohmann::json state = {
      {"size", size_}, {"digest", digest_}, {"etag", etag_}, {"pieces", std::move(pieces)}};
  // An ETag comes from outside and may be no UTF-8.
  FATHOM_CHECK(write_file_atomically(
      state_path(), state.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  dirty_ = false;
  return {};
}

void PartialFile::remove() {
  std::error_code ignored;
  fs::remove(path_, ignored);
  remove_state();
  dirty_ = false;
}

void PartialFile::remove_state() {
  std::error_code ignored;
  fs::remove(state_path(), ignored);
}

}  // namespace fathom::hub
