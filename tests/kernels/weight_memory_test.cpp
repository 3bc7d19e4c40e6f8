// Where packed matrices lie.
#include "kernels/packed/weight_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "base/sanitizers.h"

namespace fathom {
namespace {

const MemoryPlacement kAnywhere;

TEST(WeightMemory, BlocksAreAlignedAndDoNotOverlap) {
  WeightMemory memory(kAnywhere);
  std::vector<std::pair<std::shared_ptr<std::byte>, int64_t>> blocks;
  for (const int64_t bytes : {1, 63, 64, 65, 4096, 100'000, 3 << 20, 5 << 20, 7}) {
    blocks.emplace_back(memory.allocate(bytes), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks.back().first.get()) % 64, 0U);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    std::memset(blocks[i].first.get(), static_cast<int>(i), static_cast<size_t>(blocks[i].second));
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto& [block, bytes] = blocks[i];
    EXPECT_EQ(block.get()[0], static_cast<std::byte>(i));
    EXPECT_EQ(block.get()[bytes - 1], static_cast<std::byte>(i));
  }
}

TEST(WeightMemory, ABlockOutlivesTheOthersAndTheMemory) {
  std::shared_ptr<std::byte> kept;
  {
    WeightMemory memory(kAnywhere);
    for (int i = 0; i < 40; ++i) {  // more than a piece
      auto block = memory.allocate(3 << 20);
      if (i == 5) kept = block;
    }
  }
  std::memset(kept.get(), 1, 3 << 20);
  EXPECT_EQ(kept.get()[100], std::byte{1});
}

// The ARM tests are emulated, and QEMU keeps such advice from the system.
#if defined(__linux__) && defined(__x86_64__)
// What the system notes of the mapping around `address`: smaps' VmFlags, empty if it does not say.
std::string flags_around(const std::byte* address) {
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      const auto at = reinterpret_cast<uintptr_t>(address);
      inside = at >= begin && at < end;
    }
    if (inside && line.starts_with("VmFlags:")) return line + " ";
  }
  return {};
}

TEST(WeightMemory, SmallBlocksToldTheSystemToUseHugePages) {
  if (!std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled")) {
    GTEST_SKIP() << "this system has no transparent huge pages";
  }
  if (kAddressSanitizer) GTEST_SKIP() << "blocks have memory of their own under this sanitizer";
  WeightMemory memory(kAnywhere);
  const auto block = memory.allocate(300'000);
  const std::string flags = flags_around(block.get());
  if (flags.empty()) GTEST_SKIP() << "this system does not say what its mappings are";
  EXPECT_NE(flags.find(" hg "), std::string::npos) << flags;
}
#endif

}  // namespace
}  // namespace fathom
