// Where memory lies on a machine with several memory nodes. Any thread may compute with any part of
// the weights and of the cache, so neither belongs to a node: their pages take turns, and all
// nodes' bandwidth is used.
//
// With fewer than two nodes nothing is done. The system may refuse (containers often do): then
// pages lie where they are first touched, as ever.
#pragma once

#include <cstddef>
#include <vector>

namespace fathom {

class MemoryPlacement {
 public:
  MemoryPlacement() = default;
  explicit MemoryPlacement(std::vector<int> nodes) : nodes_(std::move(nodes)) {}

  const std::vector<int>& nodes() const { return nodes_; }

  // For the whole pages in these bytes that nothing has touched yet.
  void spread(void* memory, size_t bytes) const;
  // For what the calling thread touches or reads from files from now on.
  void spread_this_thread() const;

 private:
  std::vector<int> nodes_;
};

// The system call behind spread(): 0, or errno.
int interleave_pages(void* memory, size_t bytes, const std::vector<int>& nodes);

}  // namespace fathom
