#include "plan/deployment.h"

#include <gtest/gtest.h>

namespace fathom::plan {
namespace {

TEST(Deployment, SaysWhatAStepIsBoundByInWords) {
  EXPECT_EQ(name(Bound::kMemory), "memory bandwidth");
  EXPECT_EQ(name(Bound::kOverhead), "overhead");
}

}  // namespace
}  // namespace fathom::plan
