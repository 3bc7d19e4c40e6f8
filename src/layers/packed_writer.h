// Writes a file of packed matrices in the background, while the next ones are packed and the model
// is used: add() and finish() only note what is to be done, and the matrices are shared, not
// copied. The file gets its name when it is whole and on the disk.
//
// One thread calls; on_failure is called on the writer's own thread, once at most.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "kernels/matrix.h"
#include "kernels/packed_file.h"

namespace fathom {

class PackedWriter {
 public:
  struct Job {
    std::filesystem::path file;
    PackedFileOrigin origin;
    int64_t expected_bytes = 0;  // of the whole file, roughly: asked of the disk beforehand
    int64_t limit_bytes = 0;     // of the folder
    std::function<void(const Error&)> on_failure;
  };

  explicit PackedWriter(Job job);
  // Waits until a finished file is written, and gives up one that is not finished.
  ~PackedWriter();
  PackedWriter(const PackedWriter&) = delete;
  PackedWriter& operator=(const PackedWriter&) = delete;

  void add(uint64_t key, const PackedMatrix& matrix);
  // Begins to write; without it nothing ever is.
  void start();
  bool started() const { return thread_.joinable(); }
  // There are no more matrices.
  void finish();
  // True once there is nothing more to do, be it for a failure; waits so long for it.
  bool wait_for(std::chrono::milliseconds limit);

 private:
  struct Waiting {
    PackedMatrix matrix;
    int64_t offset;
  };

  void work();
  Status write_all();
  // The next matrix to write; nothing at the end.
  bool take(Waiting& next);

  Job job_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  std::vector<PackedFileEntry> entries_;
  std::unordered_set<uint64_t> keys_;  // of the entries
  int64_t end_ = 0;                    // of the last matrix in the file
  bool finished_ = false;              // there are no more
  bool given_up_ = false;              // somebody does not want the file any more
  bool idle_ = false;                  // the thread has nothing more to do
  std::thread thread_;
};

}  // namespace fathom
