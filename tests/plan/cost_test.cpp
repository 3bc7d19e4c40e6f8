#include "plan/cost.h"

#include <gtest/gtest.h>

namespace fathom::plan {
namespace {

Deployment deployment(double rent, double purchase) {
  Deployment made;
  made.hardware.usd_per_hour = rent;
  made.hardware.purchase_usd = purchase;
  made.hardware.idle_watts = 100;
  made.hardware.busy_watts = 500;
  made.tp = 2;
  made.replicas = 2;
  return made;
}

TEST(Cost, OfRentedHardwareIsTheRentOfAllDevices) {
  const HourlyCost cost = hourly_cost(deployment(3, 1000), 1000, {});
  EXPECT_TRUE(cost.known);
  EXPECT_TRUE(cost.rented);
  EXPECT_DOUBLE_EQ(cost.total(), 12);
}

TEST(Cost, OfBoughtHardwareIsWrittenOffAndPowered) {
  const Prices prices{.usd_per_kwh = 0.2, .write_off_years = 1, .energy_factor = 1.5, .buy = true};
  const HourlyCost cost = hourly_cost(deployment(3, 8766), 1000, prices);
  EXPECT_TRUE(cost.known);
  EXPECT_FALSE(cost.rented);
  EXPECT_DOUBLE_EQ(cost.hardware, 4);
  EXPECT_DOUBLE_EQ(cost.energy, 0.3);
  EXPECT_FALSE(hourly_cost(deployment(0, 0), 1000, prices).known);
}

TEST(Cost, OfRequestsAndTokensFollowsFromTheirRates) {
  Prediction prediction{.output_tokens_per_second = 200, .requests_per_second = 2};
  add_costs(deployment(9, 0), {}, prediction);
  EXPECT_DOUBLE_EQ(prediction.usd_per_hour, 36);
  EXPECT_DOUBLE_EQ(prediction.usd_per_million_requests, 36.0 / 7200 * 1e6);
  EXPECT_DOUBLE_EQ(prediction.usd_per_million_tokens, 50);
}

TEST(Cost, GrowsByWholeCopies) {
  const CostModel model{.fixed_usd = 5,
                        .copy_usd_per_month = 100,
                        .requests_per_month = 1000,
                        .usd_per_request = 0.01};
  EXPECT_DOUBLE_EQ(month_usd(model, 0), 105);
  EXPECT_DOUBLE_EQ(month_usd(model, 1000), 115);
  EXPECT_DOUBLE_EQ(month_usd(model, 1001), 205 + 10.01);
}

TEST(Cost, BreaksEvenWhereTheLinesCross) {
  const CostModel cheap_to_keep{.copy_usd_per_month = 10, .usd_per_request = 0.02};
  const CostModel cheap_to_use{.copy_usd_per_month = 1010, .usd_per_request = 0.01};
  const BreakEven even = break_even(cheap_to_keep, cheap_to_use);
  EXPECT_FALSE(even.second_is_cheaper_below);
  ASSERT_TRUE(even.requests_per_month);
  EXPECT_NEAR(*even.requests_per_month, 100'000, 1);
  const BreakEven never =
      break_even(cheap_to_keep, {.copy_usd_per_month = 11, .usd_per_request = 0.02});
  EXPECT_FALSE(never.requests_per_month);
  EXPECT_FALSE(never.second_is_cheaper_below);
  const BreakEven always = break_even(cheap_to_use, cheap_to_keep, 1000);
  EXPECT_TRUE(always.second_is_cheaper_below);
  EXPECT_FALSE(always.requests_per_month);
}

TEST(Cost, AFixedCostCanPutTheBreakEvenAnywhere) {
  CostModel first{.copy_usd_per_month = 10, .usd_per_request = 0.01};
  const CostModel second{.copy_usd_per_month = 100, .usd_per_request = 0.05};
  first.fixed_usd = fixed_cost_for(first, second, 1.5e6);
  const BreakEven even = break_even(first, second);
  ASSERT_TRUE(even.requests_per_month);
  EXPECT_NEAR(*even.requests_per_month, 1.5e6, 1);
  EXPECT_TRUE(even.second_is_cheaper_below);
}

TEST(Cost, OfASmallModelInFrontOfALargeOneIsBoth) {
  const CostModel lite{.copy_usd_per_month = 10, .requests_per_month = 1000};
  const CostModel v1{.copy_usd_per_month = 100, .requests_per_month = 100};
  EXPECT_DOUBLE_EQ(hybrid_month_usd(lite, v1, 0.25, 1000), 10 + 300);
  EXPECT_DOUBLE_EQ(hybrid_month_usd(lite, v1, 0, 1000), 10 + 100);
}

TEST(Cost, IdleEnergyIsTheCopysAndTheRestTheRequests) {
  Prediction prediction{.requests_per_second = 2, .most_requests_per_second = 4, .watts = 1400};
  const Prices prices{.usd_per_kwh = 0.36, .write_off_years = 1, .energy_factor = 1, .buy = true};
  const CostModel model = cost_model(deployment(0, 8766), prediction, prices);
  // Two devices of a copy: 1 dollar an hour each, and 0.2 kW.
  EXPECT_NEAR(model.copy_usd_per_month, (2 + 0.2 * 0.36) * 730.5, 1e-6);
  EXPECT_NEAR(model.requests_per_month, 2 * 3600 * 730.5, 1e-6);
  EXPECT_NEAR(model.usd_per_request, 500 * 0.36 / 3.6e6, 1e-12);
}

}  // namespace
}  // namespace fathom::plan
