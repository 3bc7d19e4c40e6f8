#include "plan/expert_load.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

namespace fathom::plan {
namespace {

// What a router that spreads rows evenly does, drawn: the means of what the device with the most
// has to do.
ExpertLoad::Most drawn(int experts, int per_token, int devices, int rows, int times) {
  std::mt19937 random(7);
  std::vector<int> order(static_cast<size_t>(experts));
  std::iota(order.begin(), order.end(), 0);
  ExpertLoad::Most sum;
  for (int time = 0; time < times; ++time) {
    std::vector<int> choices(static_cast<size_t>(experts));
    for (int row = 0; row < rows; ++row) {
      // The beginning of a random order.
      for (size_t i = 0; i < static_cast<size_t>(per_token); ++i) {
        std::uniform_int_distribution<size_t> any(i, order.size() - 1);
        std::swap(order[i], order[any(random)]);
        ++choices[static_cast<size_t>(order[i])];
      }
    }
    int most_choices = 0;
    int64_t most_experts = 0;
    const auto each = static_cast<std::ptrdiff_t>(experts / devices);
    for (auto device = choices.begin(); device != choices.end(); device += each) {
      most_choices = std::max(most_choices, std::accumulate(device, device + each, 0));
      most_experts = std::max<int64_t>(
          most_experts, std::count_if(device, device + each, [](int n) { return n > 0; }));
    }
    sum.choices += most_choices;
    sum.experts += static_cast<double>(most_experts);
  }
  return {.choices = sum.choices / times, .experts = sum.experts / times};
}

TEST(ExpectedMost, OfFewIsWhatCountingGives) {
  // One coin: no head of two throwers in a quarter of cases.
  EXPECT_NEAR(expected_most_binomial(1, 0.5, 2), 0.75, 1e-12);
  // Two coins each: none above 0 in 1 of 16 cases, none above 1 in 9.
  EXPECT_NEAR(expected_most_binomial(2, 0.5, 2), 2 - (1 + 9) / 16.0, 1e-12);
  EXPECT_NEAR(expected_most_binomial(10, 0.3, 1), 3, 1e-9);
  EXPECT_EQ(expected_most_binomial(10, 0, 5), 0);
  EXPECT_EQ(expected_most_binomial(10, 1, 5), 10);
}

TEST(ExpectedMost, OfManyFollowsTheTablesOfNormalOrderStatistics) {
  // Expected largest of n standard normal numbers (Tippett 1925; Harter 1961, table 1).
  for (const auto& [count, largest] :
       {std::pair{2, 0.56419}, {5, 1.16296}, {10, 1.53875}, {16, 1.76599}, {100, 2.50759}}) {
    const double trials = 1e6;
    const double deviation = std::sqrt(trials / 4);
    EXPECT_NEAR((expected_most_binomial(trials, 0.5, count) - trials / 2) / deviation, largest,
                1e-4)
        << count;
  }
}

TEST(ExpertLoad, OfOneDeviceIsEverything) {
  const ExpertLoad load(64, 6, 1);
  EXPECT_EQ(load.most(10).choices, 60);
  EXPECT_NEAR(load.most(1).experts, 6, 1e-9);
  EXPECT_EQ(load.most(0).choices, 0);
}

TEST(ExpertLoad, IsWhatDrawingGives) {
  struct Case {
    int experts;
    int per_token;
    int devices;
  };
  // DeepSeek-V3's and DeepSeek-V2-Lite's routers.
  for (const Case& c : {Case{256, 8, 8}, Case{256, 8, 64}, Case{64, 6, 4}, Case{64, 6, 32}}) {
    const ExpertLoad load(c.experts, c.per_token, c.devices);
    for (const int rows : {1, 6, 16, 100, 1000}) {
      const ExpertLoad::Most real = drawn(c.experts, c.per_token, c.devices, rows, 150);
      const ExpertLoad::Most most = load.most(rows);
      // Of one row's choices no two are the same, which the binomial numbers do not know.
      const double off = rows == 1 ? 0.15 : 0.08;
      EXPECT_NEAR(most.choices, real.choices, off * real.choices) << c.devices << ", " << rows;
      EXPECT_NEAR(most.experts, real.experts, 0.08 * real.experts) << c.devices << ", " << rows;
    }
  }
}

TEST(ExpertLoad, OfManyRowsIsNearlyEven) {
  const ExpertLoad load(256, 8, 32);
  const double mean = 1e7 * 8 / 32;
  EXPECT_GE(load.most(1e7).choices, mean);
  EXPECT_LT(load.most(1e7).choices, 1.03 * mean);
  EXPECT_EQ(load.most(1e7).experts, 8);
}

}  // namespace
}  // namespace fathom::plan
