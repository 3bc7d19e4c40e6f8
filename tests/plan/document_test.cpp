#include "plan/document.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace fathom::plan {
namespace {

TEST(Document, FindsNoBreakEvenAtItsOwnPrices) {
  const CostClaim claim = cost_claim();
  EXPECT_NEAR(claim.v1_usd, 1.26, 1e-9);
  EXPECT_NEAR(claim.lite_usd, 0.864, 1e-9);
  EXPECT_FALSE(claim.break_even.has_value());
}

TEST(Document, FindsTheCostsThatWouldPutTheBreakEvenAtAMillionAndAHalf) {
  const CostClaim claim = cost_claim();
  // 1.5 * 1.26 = fixed + 1.5 * 0.864
  EXPECT_NEAR(claim.lite_fixed_usd, 1.5 * (1.26 - 0.864), 1e-6);
  // 8 * 60 W for 7.2 h against 400 W for 2.8 h: 2.336 kWh more
  EXPECT_NEAR(claim.energy_price, 0.396 / 2.336, 1e-9);
  EXPECT_NEAR(claim.v1_fixed_usd, 1.5 * (0.864 + 0.3 * 3.456 - 1.26 - 0.3 * 1.12), 1e-6);
  EXPECT_GT(claim.dear_energy, claim.energy_price);
}

TEST(Document, GivesEachClaimAVerdictWithItsReason) {
  const auto report = compare_document();
  ASSERT_TRUE(report) << report.error().message;
  for (const char* table : {"latency", "memory", "throughput", "serving", "cost"}) {
    EXPECT_GE(std::ranges::count(report->claims, table, &Claim::table), 3) << table;
  }
  for (const Claim& claim : report->claims) {
    EXPECT_FALSE(claim.predicted.empty()) << claim.subject;
    EXPECT_FALSE(claim.why.empty()) << claim.subject;
    EXPECT_EQ(claim.predicted.find("nan"), std::string::npos) << claim.predicted;
    EXPECT_EQ(claim.predicted.find("inf"), std::string::npos) << claim.predicted;
  }
  const auto verdict = [&](std::string_view table, std::string_view subject) {
    const auto found = std::ranges::find_if(report->claims, [&](const Claim& claim) {
      return claim.table == table && claim.subject == subject;
    });
    return found == report->claims.end() ? "missing" : name(found->verdict);
  };
  // 37 billion active weights of 4.5 bits are 21 GB of 28.5; all 671 billion are not.
  EXPECT_EQ(verdict("memory", "V1"), "holds if");
  EXPECT_EQ(verdict("memory", "Pro"), "does not hold");
  EXPECT_EQ(verdict("memory", "Pro, encoders' share"), "does not hold");
  EXPECT_EQ(verdict("memory", "Lite, INT4 file"), "does not hold");
  EXPECT_EQ(verdict("serving", "V1, 128 at once on one A100"), "holds if");
  EXPECT_EQ(verdict("cost", "V1 cheaper above 1.5 million"), "holds if");
}

TEST(Document, SaysWhereAndWhenWhatWasMeasured) {
  const auto report = compare_document();
  ASSERT_TRUE(report) << report.error().message;
  int64_t measured = 0;
  for (const Claim& claim : report->claims) {
    if (claim.measured.empty()) continue;
    ++measured;
    const bool dated = claim.measured.find("(docs/") != std::string::npos &&
                       claim.measured.find(", 20") != std::string::npos;
    EXPECT_TRUE(dated || claim.subject == "Lite, INT4 file") << claim.measured;
  }
  EXPECT_GE(measured, 8);
}

}  // namespace
}  // namespace fathom::plan
