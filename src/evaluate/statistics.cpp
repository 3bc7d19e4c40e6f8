#include "evaluate/statistics.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace fathom {

void Mean::add(double value) {
  ++count_;
  const double before = value - mean_;
  mean_ += before / static_cast<double>(count_);
  squares_ += before * (value - mean_);
}

double Mean::standard_error() const {
  if (count_ < 2) return 0;
  const auto n = static_cast<double>(count_);
  return std::sqrt(squares_ / (n - 1) / n);
}

double percentile(const std::vector<double>& values, double fraction) {
  FATHOM_ASSERT(!values.empty() && fraction >= 0 && fraction <= 1);
  const double rank = fraction * static_cast<double>(values.size() - 1);
  const auto low = static_cast<size_t>(rank);
  const size_t high = std::min(low + 1, values.size() - 1);
  const double part = rank - static_cast<double>(low);
  return values[low] + part * (values[high] - values[low]);
}

}  // namespace fathom
