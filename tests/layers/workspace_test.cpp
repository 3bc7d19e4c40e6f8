#include "layers/workspace.h"

#include <gtest/gtest.h>

namespace fathom {
namespace {

TEST(Workspace, GivesAlignedMemoryThatDoesNotOverlap) {
  Workspace workspace;
  float* a = workspace.floats(3);
  float* b = workspace.floats(5);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a) % 64, 0U);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b) % 64, 0U);
  EXPECT_GE(b - a, 3);
}

TEST(Workspace, ReusesMemoryWhenAScopeEnds) {
  Workspace workspace;
  float* first = nullptr;
  {
    const Workspace::Scope scope(workspace);
    first = workspace.floats(100);
  }
  EXPECT_EQ(workspace.floats(100), first);
}

TEST(Workspace, StopsGrowingOnceItHasSeenTheLargestStep) {
  Workspace workspace;
  int64_t grown = 0;
  for (int round = 0; round < 3; ++round) {
    const Workspace::Scope scope(workspace);
    workspace.floats(1000);
    {
      const Workspace::Scope inner(workspace);
      workspace.floats(3 << 20);
      workspace.floats(2 << 20);
    }
    workspace.floats(2 << 20);
    if (round == 0) grown = workspace.capacity();
  }
  EXPECT_EQ(workspace.capacity(), grown);
}

}  // namespace
}  // namespace fathom
