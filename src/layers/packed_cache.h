// Packed weights kept on disk from one start to the next. The first start of a model packs its
// matrices and writes them to a file in the background; the next maps that file, so that it is
// ready as soon as the pages are in memory, and processes of one model share them.
//
//   cache.open(checkpoint, kernels);      // maps the file, if there is one that fits
//   cache.find(...) or cache.keep(...)    // for every matrix: taken from it, or written to it
//   cache.finish();                       // loading has succeeded
//
// A file that is damaged, or was made of other weights, for other kernels or with another layout,
// is not used and is replaced. Nothing here makes loading fail: what cannot be kept is told in a
// note, and the model runs without. One thread loads; notes may come from another.
//
// Matrices share the mapping and outlive the cache. The destructor waits for the file to be
// written, and says so.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/mapped_file.h"
#include "checkpoint/checkpoint.h"
#include "kernels/kernels.h"
#include "kernels/packed_file.h"
#include "layers/packed_writer.h"

namespace fathom {

struct PackedCacheOptions {
  std::filesystem::path folder;
  int64_t limit_bytes = 0;  // of all files in the folder together
  // Large models whose packing takes longer are kept: others gain little. Negative: all are.
  std::chrono::milliseconds worthwhile{500};
  std::function<void(std::string_view)> on_note;  // a sentence for the user; may be empty
};

class PackedCache {
 public:
  explicit PackedCache(PackedCacheOptions options) : options_(std::move(options)) {}
  ~PackedCache();
  PackedCache(const PackedCache&) = delete;
  PackedCache& operator=(const PackedCache&) = delete;

  // Both must live until finish().
  void open(const Checkpoint& checkpoint, const Kernels& kernels);
  bool has_file() const { return file_ != nullptr; }

  // What a matrix is called in the file: nothing where none can be kept.
  std::optional<uint64_t> key_of(const Tensor& stored) const;  // or part of a stored tensor
  std::optional<uint64_t> key_of(std::string_view computed, int64_t rows, int64_t cols) const;

  std::optional<PackedMatrix> find(uint64_t key, int64_t out, int64_t in, DType dtype);
  // packing: how long the matrix took.
  void keep(uint64_t key, const PackedMatrix& matrix, std::chrono::nanoseconds packing);
  void finish();

 private:
  void note(std::string_view text) const;
  void use(std::shared_ptr<const MappedFile> mapped, PackedFile index);
  void begin_writing(PackedFileOrigin origin);

  PackedCacheOptions options_;
  const Checkpoint* checkpoint_ = nullptr;
  const Kernels* kernels_ = nullptr;
  std::filesystem::path path_;

  std::shared_ptr<const MappedFile> file_;  // null: there is none to use
  PackedFile index_;
  bool lacks_some_ = false;  // the file, although it fits
  std::jthread reader_;      // reads the file before it is needed

  std::unique_ptr<PackedWriter> writer_;  // null: nothing is to be kept
  std::chrono::nanoseconds packing_{0};   // altogether
};

}  // namespace fathom
