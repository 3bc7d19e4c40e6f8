// Memory for activations, taken and given back in stack order within one step. Grows to the largest
// step seen and is then reused, so a steady decode loop allocates nothing.
//
//   Workspace::Scope scope(workspace);           // everything taken below is free at scope's end
//   float* q = workspace.floats(rows * width);   // uninitialised, aligned to 64 bytes
//
// One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace fathom {

class Workspace {
 public:
  float* floats(int64_t count) { return array<float>(count); }

  // `count` uninitialised elements of a plain type.
  template <typename T>
  T* array(int64_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= 64);
    return static_cast<T*>(take(count * static_cast<int64_t>(sizeof(T))));
  }

  // Bytes held.
  int64_t capacity() const;

  class Scope {
   public:
    explicit Scope(Workspace& workspace)
        : workspace_(workspace), chunk_(workspace.chunk_), used_(workspace.used_) {}
    ~Scope() {
      workspace_.chunk_ = chunk_;
      workspace_.used_ = used_;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Workspace& workspace_;
    size_t chunk_;
    int64_t used_;
  };

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  struct Chunk {
    std::unique_ptr<std::byte, Free> data;
    int64_t size;
  };
  void* take(int64_t bytes);

  std::vector<Chunk> chunks_;
  size_t chunk_ = 0;  // the one being filled
  int64_t used_ = 0;  // bytes of it
};

}  // namespace fathom
