#include "base/memory_placement.h"

#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace fathom {
namespace {

constexpr int kMostNodes = 1024;  // the kernel's largest configuration
constexpr int kWordBits = sizeof(unsigned long) * CHAR_BIT;

struct NodeMask {
  std::array<unsigned long, kMostNodes / kWordBits> words{};

  explicit NodeMask(const std::vector<int>& nodes) {
    for (const int node : nodes) {
      if (node < 0 || node >= kMostNodes) continue;
      words[static_cast<size_t>(node / kWordBits)] |= 1UL << (node % kWordBits);
    }
  }
};

#if defined(__linux__) && defined(SYS_mbind) && defined(SYS_set_mempolicy)
constexpr int kInterleave = 3;  // MPOL_INTERLEAVE of linux/mempolicy.h
// The kernel reads one bit less than it is told.
constexpr unsigned long kMaskBits = kMostNodes + 1;
#endif

}  // namespace

int interleave_pages(void* memory, size_t bytes, const std::vector<int>& nodes) {
#if defined(__linux__) && defined(SYS_mbind)
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
  const auto end = (reinterpret_cast<uintptr_t>(memory) + bytes) / page * page;
  if (begin >= end) return 0;
  const NodeMask mask(nodes);
  const auto done =
      syscall(SYS_mbind, begin, end - begin, kInterleave, mask.words.data(), kMaskBits, 0);
  return done == 0 ? 0 : errno;
#else
  static_cast<void>(memory);
  static_cast<void>(bytes);
  static_cast<void>(NodeMask(nodes));
  return ENOSYS;
#endif
}

void MemoryPlacement::spread(void* memory, size_t bytes) const {
  if (nodes_.size() < 2) return;
  static_cast<void>(interleave_pages(memory, bytes, nodes_));
}

void MemoryPlacement::spread_this_thread() const {
  if (nodes_.size() < 2) return;
#if defined(__linux__) && defined(SYS_set_mempolicy)
  const NodeMask mask(nodes_);
  static_cast<void>(syscall(SYS_set_mempolicy, kInterleave, mask.words.data(), kMaskBits));
#endif
}

}  // namespace fathom
