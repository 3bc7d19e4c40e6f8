// A whole file, mapped read-only. Pages are read when first touched, so opening costs nothing
// and the same file mapped twice is in memory once. Immutable after open(): any thread may read.
//
// The advice below changes speed and memory, never what is read; where the system does not take
// it, nothing happens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"

namespace fathom {

class MappedFile {
 public:
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }
  // When the file was last written to, in nanoseconds since 1970, as it was when opened.
  int64_t modified() const { return modified_; }

  bool contains(const std::byte* p) const { return p >= data_ && p < data_ + size_; }
  // Starts reading part of the file, without waiting.
  void prefetch(std::span<const std::byte> part) const;
  // Takes part of the file out of this process's memory until it is touched again. The system may
  // keep it in its own cache.
  void release(std::span<const std::byte> part) const;
  // Reads part of the file and fills the page table, and waits for it.
  void populate(std::span<const std::byte> part) const;
  // All of it will be read again and again: huge pages, where the file system has them.
  void prefer_huge_pages() const;

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size, int64_t modified)
      : path_(std::move(path)), data_(data), size_(size), modified_(modified) {}

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int64_t modified_ = 0;
};

}  // namespace fathom
