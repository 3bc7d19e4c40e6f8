// Means with their uncertainty, and percentiles.
#pragma once

#include <cstdint>
#include <vector>

namespace fathom {

// A running mean and variance (Welford 1962), exact for any number of values.
class Mean {
 public:
  void add(double value);
  int64_t count() const { return count_; }
  double mean() const { return mean_; }
  double standard_error() const;  // 0 for fewer than two values

 private:
  int64_t count_ = 0;
  double mean_ = 0;
  double squares_ = 0;  // sum of squared differences from the mean
};

// The value that `fraction` of the sorted values lie below, interpolated linearly between ranks as
// numpy.percentile does. values must be sorted and not empty.
double percentile(const std::vector<double>& values, double fraction);

}  // namespace fathom
