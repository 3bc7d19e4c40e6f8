#include "base/freed_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/sanitizers.h"

namespace fathom {
namespace {

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TEST(FreedMemory, GoesBackToTheSystem) {
#if defined(__GLIBC__)
  constexpr bool kPlainAllocation = !kAddressSanitizer && !kThreadSanitizer;
#else
  constexpr bool kPlainAllocation = false;
#endif
  if (!kPlainAllocation) GTEST_SKIP() << "the allocation functions are others";
  constexpr size_t kPieces = 400'000;
  std::vector<std::unique_ptr<std::string>> pieces(kPieces);
  for (auto& piece : pieces) piece = std::make_unique<std::string>(100, 'x');
  const int64_t full = resident_bytes();
  // One of a hundred stays, and keeps the others' memory in the process.
  for (size_t i = 0; i < kPieces; ++i) {
    if (i % 100 != 0) pieces[i].reset();
  }
  const int64_t freed = resident_bytes();
  return_freed_memory();
  const int64_t returned = resident_bytes();
  EXPECT_LT(full - freed, 5 << 20);
  EXPECT_GT(freed - returned, 20 << 20);
}

}  // namespace
}  // namespace fathom
