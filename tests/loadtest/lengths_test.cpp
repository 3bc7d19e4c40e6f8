#include "loadtest/lengths.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace fathom::loadtest {
namespace {

std::vector<double> drawn(std::string_view text) {
  const auto lengths = Lengths::parse(text, "--prompt-words");
  EXPECT_TRUE(lengths) << lengths.error().message;
  Random random(5);
  std::vector<double> values;
  for (int i = 0; i < 20000; ++i) values.push_back(static_cast<double>(lengths->draw(random)));
  std::ranges::sort(values);
  return values;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double deviation(const std::vector<double>& values) {
  const double middle = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - middle) * (value - middle);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

TEST(Lengths, HaveTheMomentsOfTheirDistributions) {
  const auto fixed = drawn("64");
  EXPECT_EQ(fixed.front(), 64);
  EXPECT_EQ(fixed.back(), 64);

  const auto even = drawn("uniform:10-20");
  EXPECT_EQ(even.front(), 10);
  EXPECT_EQ(even.back(), 20);
  EXPECT_NEAR(mean(even), 15, 0.15);
  EXPECT_NEAR(deviation(even), std::sqrt((11 * 11 - 1) / 12.0), 0.1);

  const auto bell = drawn("normal:200,20");
  EXPECT_NEAR(mean(bell), 200, 0.8);
  EXPECT_NEAR(deviation(bell), 20, 0.6);

  const auto skewed = drawn("lognormal:100,0.5");
  EXPECT_NEAR(skewed[skewed.size() / 2], 100, 2.5);
  EXPECT_NEAR(mean(skewed), 100 * std::exp(0.125), 2.5);
}

TEST(Lengths, AreNeverBelowOne) {
  EXPECT_EQ(drawn("normal:2,50").front(), 1);
  EXPECT_EQ(drawn("lognormal:1,3").front(), 1);
}

TEST(Lengths, AreRefusedWhenTheyMakeNoSense) {
  for (const char* text : {"", "0", "-3", "1.5", "many", "64x", "uniform:", "uniform:5",
                           "uniform:9-3", "uniform:0-3", "normal:5", "normal:0,1", "normal:5,-1",
                           "lognormal:x,1", "pareto:1,2", "2000000", "nan", "normal:nan,1"}) {
    const auto lengths = Lengths::parse(text, "--prompt-words");
    ASSERT_FALSE(lengths) << text;
    EXPECT_EQ(lengths.error().kind, ErrorKind::kUsage);
    EXPECT_TRUE(lengths.error().message.starts_with("--prompt-words is \"")) << text;
  }
}

}  // namespace
}  // namespace fathom::loadtest
