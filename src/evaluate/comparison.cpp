#include "evaluate/comparison.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/assert.h"
#include "evaluate/choice_task.h"
#include "evaluate/statistics.h"

namespace fathom {
namespace {

// At most `few` heads, or as many tails, in n throws of a fair coin.
double two_sided(int64_t few, int64_t n) {
  double below = 0;
  for (int64_t k = 0; k <= few; ++k) {
    const auto log_ways = std::lgamma(static_cast<double>(n) + 1) -
                          std::lgamma(static_cast<double>(k) + 1) -
                          std::lgamma(static_cast<double>(n - k) + 1);
    below += std::exp(log_ways - static_cast<double>(n) * std::log(2.0));
  }
  return std::min(1.0, 2 * below);
}

}  // namespace

Comparison compare(std::span<const char> a, std::span<const char> b) {
  FATHOM_ASSERT(a.size() == b.size());
  Comparison result{.questions = std::ssize(a)};
  if (a.empty()) return result;
  std::vector<int> differences;
  differences.reserve(a.size());
  double right_a = 0;
  double right_b = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const bool by_a = a[i] != 0;
    const bool by_b = b[i] != 0;
    right_a += by_a ? 1 : 0;
    right_b += by_b ? 1 : 0;
    result.only_a += by_a && !by_b ? 1 : 0;
    result.only_b += by_b && !by_a ? 1 : 0;
    differences.push_back((by_b ? 1 : 0) - (by_a ? 1 : 0));
  }
  const auto count = static_cast<double>(a.size());
  result.a = right_a / count;
  result.b = right_b / count;
  result.difference = result.b - result.a;
  result.p_value = two_sided(std::min(result.only_a, result.only_b), result.only_a + result.only_b);
  std::mt19937_64 random(1);  // the same interval for the same answers
  std::uniform_int_distribution<size_t> draw(0, differences.size() - 1);
  std::vector<double> samples;
  samples.reserve(kResamples);
  for (int i = 0; i < kResamples; ++i) {
    double sum = 0;
    for (size_t k = 0; k < differences.size(); ++k) sum += differences[draw(random)];
    samples.push_back(sum / count);
  }
  std::ranges::sort(samples);
  result.low = percentile(samples, 0.025);
  result.high = percentile(samples, 0.975);
  return result;
}

}  // namespace fathom
