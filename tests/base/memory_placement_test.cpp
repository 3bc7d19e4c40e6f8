#include "base/memory_placement.h"

#include <gtest/gtest.h>

#if defined(__linux__)
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace fathom {
namespace {

#if defined(SYS_get_mempolicy)
TEST(MemoryPlacement, PagesTakeTurnsOnTheNodes) {
  constexpr size_t kBytes = 1 << 20;
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const int error = interleave_pages(memory, kBytes, {0});
  if (error == EPERM || error == ENOSYS) {
    munmap(memory, kBytes);
    GTEST_SKIP() << "this system does not let programs place memory: " << std::strerror(error);
  }
  EXPECT_EQ(error, 0) << std::strerror(error);
  int mode = -1;
  constexpr unsigned long kOfAddress = 2;  // MPOL_F_ADDR
  ASSERT_EQ(syscall(SYS_get_mempolicy, &mode, nullptr, 0, memory, kOfAddress), 0);
  EXPECT_EQ(mode, 3);  // MPOL_INTERLEAVE
  std::memset(memory, 1, kBytes);
  munmap(memory, kBytes);
}

TEST(MemoryPlacement, LeavesMemoryAloneOnOneNode) {
  constexpr size_t kBytes = 1 << 20;
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  MemoryPlacement().spread(memory, kBytes);
  MemoryPlacement({0}).spread(memory, kBytes);
  int mode = -1;
  if (syscall(SYS_get_mempolicy, &mode, nullptr, 0, memory, 2UL) == 0) {
    EXPECT_EQ(mode, 0);  // MPOL_DEFAULT
  }
  munmap(memory, kBytes);
}
#endif

TEST(MemoryPlacement, NodesThatAreNotThereAreAnError) {
  constexpr size_t kBytes = 1 << 20;
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  EXPECT_NE(interleave_pages(memory, kBytes, {-1, 5000}), 0);
  MemoryPlacement({900, 901}).spread(memory, kBytes);  // refused, and no harm done
  std::memset(memory, 1, kBytes);
  munmap(memory, kBytes);
}

}  // namespace
}  // namespace fathom
#endif
