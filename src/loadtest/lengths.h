// How long prompts and answers are: a distribution over whole numbers of at least 1, as the user
// writes it, drawn with random numbers that are the same on every machine.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fathom::loadtest {

using Random = std::mt19937_64;

// Uniform over [0, 1), and normal with mean 0 and deviation 1. The standard library's own
// distributions differ between implementations.
double uniform(Random& random);
double normal(Random& random);

class Lengths {
 public:
  enum class Shape { kFixed, kUniform, kNormal, kLognormal };

  // "64", "uniform:16-128", "normal:64,16" (mean, deviation), "lognormal:64,0.5" (median, deviation
  // of the logarithm). `what` names the flag in errors.
  static Result<Lengths> parse(std::string_view text, std::string_view what);

  int64_t draw(Random& random) const;
  const std::string& text() const { return text_; }

 private:
  Shape shape_ = Shape::kFixed;
  double first_ = 1;   // the value, the lowest, the mean or the median
  double second_ = 0;  // the highest or the deviation
  std::string text_;
};

}  // namespace fathom::loadtest
