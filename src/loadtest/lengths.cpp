#include "loadtest/lengths.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>

#include "base/quote.h"

namespace fathom::loadtest {
namespace {

// Beyond this a prompt is no longer a test of load but of memory.
constexpr double kMost = 1'000'000;

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

bool is_length(double value) {
  return value >= 1 && value <= kMost;
}

bool is_whole(double value) {
  return is_length(value) && value == std::floor(value);
}

}  // namespace

double uniform(Random& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

double normal(Random& random) {  // Box and Muller 1958
  const double radius = std::sqrt(-2 * std::log(1 - uniform(random)));
  return radius * std::cos(2 * std::numbers::pi * uniform(random));
}

Result<Lengths> Lengths::parse(std::string_view text, std::string_view what) {
  const auto wrong = [&] {
    return usage_error(
        "{} is {}; it must be a number such as 64, uniform:16-128, normal:64,16 (mean, deviation) "
        "or lognormal:64,0.5 (median, deviation of the logarithm), with lengths of 1 to {}.",
        what, in_quotes(text), kMost);
  };
  Lengths lengths;
  lengths.text_ = text;
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    const auto value = number(text);
    if (!value || !is_whole(*value)) return wrong();
    lengths.first_ = *value;
    return lengths;
  }
  const std::string_view name = text.substr(0, colon);
  const std::string_view rest = text.substr(colon + 1);
  const size_t comma = rest.find(name == "uniform" ? '-' : ',');
  if (comma == std::string_view::npos) return wrong();
  const auto first = number(rest.substr(0, comma));
  const auto second = number(rest.substr(comma + 1));
  if (!first || !second || !is_length(*first)) return wrong();
  if (name == "uniform") {
    if (!is_whole(*first) || !is_whole(*second) || *second < *first) return wrong();
    lengths.shape_ = Shape::kUniform;
  } else if (name == "normal" || name == "lognormal") {
    if (*second < 0 || *second > kMost) return wrong();
    lengths.shape_ = name == "normal" ? Shape::kNormal : Shape::kLognormal;
  } else {
    return wrong();
  }
  lengths.first_ = *first;
  lengths.second_ = *second;
  return lengths;
}

int64_t Lengths::draw(Random& random) const {
  double value = first_;
  switch (shape_) {
    case Shape::kFixed:
      break;
    case Shape::kUniform:
      value = first_ + std::floor(uniform(random) * (second_ - first_ + 1));
      break;
    case Shape::kNormal:
      value = std::round(first_ + second_ * normal(random));
      break;
    case Shape::kLognormal:
      value = std::round(first_ * std::exp(second_ * normal(random)));
      break;
  }
  return static_cast<int64_t>(std::clamp(value, 1.0, kMost));
}

}  // namespace fathom::loadtest
