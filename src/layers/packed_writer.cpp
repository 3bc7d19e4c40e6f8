#include "layers/packed_writer.h"

#include <sys/resource.h>

#include <optional>
#include <system_error>
#include <utility>

#include "layers/packed_folder.h"

namespace fathom {

namespace {

// Computing comes first. Elsewhere the niceness is the whole process's.
void step_back() {
#if defined(__linux__)
  constexpr int kNiceness = 10;
  (void)::setpriority(PRIO_PROCESS, 0, kNiceness);
#endif
}

}  // namespace

PackedWriter::PackedWriter(Job job) : job_(std::move(job)), end_(kPackedFileAlignment) {}

PackedWriter::~PackedWriter() {
  {
    const std::lock_guard lock(mutex_);
    if (!finished_) given_up_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void PackedWriter::add(uint64_t key, const PackedMatrix& matrix) {
  const std::lock_guard lock(mutex_);
  if (idle_ || !keys_.insert(key).second) return;  // it failed, or two layers share the matrix
  const int64_t offset = next_packed_offset(end_);
  entries_.push_back({.key = key,
                      .out = matrix.out,
                      .in = matrix.in,
                      .dtype = static_cast<uint32_t>(matrix.dtype),
                      .layout = static_cast<uint32_t>(matrix.layout),
                      .offset = offset,
                      .bytes = matrix.bytes});
  waiting_.push_back({matrix, offset});
  end_ = offset + matrix.bytes;
  changed_.notify_all();
}

void PackedWriter::start() {
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
}

void PackedWriter::finish() {
  const std::lock_guard lock(mutex_);
  finished_ = true;
  changed_.notify_all();
}

bool PackedWriter::wait_for(std::chrono::milliseconds limit) {
  if (!thread_.joinable()) return true;
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return idle_; });
}

void PackedWriter::work() {
  step_back();
  const Status done = write_all();
  if (!done && job_.on_failure) job_.on_failure(done.error());
  const std::lock_guard lock(mutex_);
  waiting_.clear();
  idle_ = true;
  changed_.notify_all();
}

bool PackedWriter::take(Waiting& next) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !waiting_.empty() || finished_ || given_up_; });
  if (waiting_.empty() || given_up_) return false;
  next = std::move(waiting_.front());
  waiting_.pop_front();
  return true;
}

Status PackedWriter::write_all() {
  const std::filesystem::path folder = job_.file.parent_path();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail("{} cannot be made: {}", folder.string(), error.message());
  FATHOM_CHECK(make_room(folder, job_.file, job_.expected_bytes, job_.limit_bytes));
  FATHOM_CHECK(check_disk(folder, job_.expected_bytes));
  std::filesystem::path part_name = job_.file;
  part_name += kPartSuffix;
  FATHOM_TRY(std::optional<PartFile> part, PartFile::open(part_name));
  if (!part) return {};

  for (Waiting next; take(next);) {
    FATHOM_CHECK(part->write(next.matrix.data.get(), next.matrix.bytes, next.offset));
  }
  {
    const std::lock_guard lock(mutex_);
    if (given_up_) return {};
  }
  // Nothing is added once it is finished.
  const int64_t index_offset = next_packed_offset(end_);
  const auto frame = frame_packed_file(job_.origin, std::move(entries_), index_offset);
  const auto index_bytes = static_cast<int64_t>(frame.index.size());
  FATHOM_CHECK(part->write(frame.index.data(), index_bytes, index_offset));
  FATHOM_CHECK(part->write(frame.header.data(), kPackedFileAlignment, 0));
  FATHOM_CHECK(make_room(folder, job_.file, index_offset + index_bytes, job_.limit_bytes));
  return part->move_into_place(job_.file);
}

}  // namespace fathom
