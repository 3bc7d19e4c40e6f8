#include "layers/packed_cache.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "base/fingerprint.h"
#include "checkpoint/identity.h"
#include "layers/packed_folder.h"

namespace fathom {

namespace {

// Smaller ones take long to pack only on a machine that is busy with something else.
constexpr int64_t kLarge = int64_t{256} << 20;
constexpr int64_t kReadStride = int64_t{64} << 20;
// Writing that ends this soon is not worth a word.
constexpr std::chrono::milliseconds kSilentWait{300};

}  // namespace

PackedCache::~PackedCache() {
  if (writer_ != nullptr && !writer_->wait_for(kSilentWait)) {
    note(fmt::format("Keeping the packed weights for the next start, in {}.",
                     path_.parent_path().string()));
  }
}

void PackedCache::note(std::string_view text) const {
  if (options_.on_note) options_.on_note(text);
}

void PackedCache::open(const Checkpoint& checkpoint, const Kernels& kernels) {
  if (kernels.layout_version() == 0) return;
  const auto identity = identify(checkpoint);
  if (!identity) return;
  checkpoint_ = &checkpoint;
  kernels_ = &kernels;
  PackedFileOrigin origin;
  origin.checkpoint = identity->content;
  origin.kernels = kernels.name();
  origin.layout_version = kernels.layout_version();
  path_ = options_.folder /
          packed_file_name(checkpoint.path().stem().string(), identity->place, origin.kernels);
  auto mapped = MappedFile::open(path_);
  if (mapped) {
    auto index = parse_packed_file(mapped->bytes(), path_.string());
    if (index && index->origin == origin) {
      use(std::make_shared<const MappedFile>(*std::move(mapped)), *std::move(index));
      return;
    }
    if (!index) note(index.error().message + ". It is made again.");
  }
  begin_writing(std::move(origin));
}

void PackedCache::use(std::shared_ptr<const MappedFile> mapped, PackedFile index) {
  file_ = std::move(mapped);
  index_ = std::move(index);
  mark_as_used(path_);
  file_->prefer_huge_pages();
  reader_ =
      std::jthread([file = file_, placement = kernels_->placement()](const std::stop_token& stop) {
        placement.spread_this_thread();
        auto rest = file->bytes();
        while (!rest.empty() && !stop.stop_requested()) {
          const auto part = rest.first(std::min(rest.size(), static_cast<size_t>(kReadStride)));
          file->populate(part);
          rest = rest.subspan(part.size());
        }
      });
}

void PackedCache::begin_writing(PackedFileOrigin origin) {
  PackedWriter::Job job;
  job.file = path_;
  job.origin = std::move(origin);
  for (const Tensor& tensor : checkpoint_->tensors()) job.expected_bytes += tensor.bytes;
  if (options_.worthwhile.count() >= 0 && job.expected_bytes < kLarge) return;
  job.limit_bytes = options_.limit_bytes;
  job.on_failure = [note = options_.on_note](const Error& error) {
    if (!note) return;
    note(fmt::format("The packed weights are not kept for the next start: {}.", error.message));
  };
  writer_ = std::make_unique<PackedWriter>(std::move(job));
}

std::optional<uint64_t> PackedCache::key_of(const Tensor& stored) const {
  if (file_ == nullptr && writer_ == nullptr) return std::nullopt;
  const Tensor* whole = checkpoint_->find(stored.name);
  if (whole == nullptr) return std::nullopt;
  Fingerprint key;
  key.add(std::string_view(stored.name));
  key.add(static_cast<uint64_t>(stored.data - whole->data));
  key.add(static_cast<uint64_t>(stored.bytes));
  return key.value();
}

std::optional<uint64_t> PackedCache::key_of(std::string_view computed, int64_t rows,
                                            int64_t cols) const {
  if (file_ == nullptr && writer_ == nullptr) return std::nullopt;
  Fingerprint key;
  key.add(std::string_view("computed"));
  key.add(computed);
  key.add(static_cast<uint64_t>(rows));
  key.add(static_cast<uint64_t>(cols));
  return key.value();
}

std::optional<PackedMatrix> PackedCache::find(uint64_t key, int64_t out, int64_t in, DType dtype) {
  if (file_ == nullptr) return std::nullopt;
  const PackedFileEntry* entry = index_.find(key);
  if (entry != nullptr && entry->out == out && entry->in == in &&
      entry->dtype == static_cast<uint32_t>(dtype)) {
    PackedMatrix matrix;
    matrix.out = out;
    matrix.in = in;
    matrix.dtype = dtype;
    matrix.bytes = entry->bytes;
    matrix.layout = static_cast<int>(entry->layout);
    matrix.data = std::shared_ptr<const std::byte>(file_, file_->bytes().data() + entry->offset);
    if (kernels_->can_be_packed(matrix)) return matrix;
  }
  lacks_some_ = true;
  return std::nullopt;
}

void PackedCache::keep(uint64_t key, const PackedMatrix& matrix, std::chrono::nanoseconds packing) {
  if (writer_ == nullptr) return;
  packing_ += packing;
  writer_->add(key, matrix);
  if (packing_ > options_.worthwhile) writer_->start();
}

void PackedCache::finish() {
  if (lacks_some_) {
    // The next start writes a whole one.
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  if (writer_ != nullptr && writer_->started()) {
    writer_->finish();
  } else {
    writer_.reset();
  }
}

}  // namespace fathom
