#include "layers/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fathom {

namespace {

constexpr float kTwoPi = 2.0F * std::numbers::pi_v<float>;

// Llama 3.1: long wavelengths are stretched by the factor, short ones kept, those between blended.
float scale_llama3(float frequency, const RopeConfig& config) {
  const auto original = static_cast<float>(config.original_context);
  const float wavelength = kTwoPi / frequency;
  if (wavelength < original / config.high_freq_factor) return frequency;
  if (wavelength > original / config.low_freq_factor) return frequency / config.factor;
  const float smooth = (original / wavelength - config.low_freq_factor) /
                       (config.high_freq_factor - config.low_freq_factor);
  return (1.0F - smooth) * frequency / config.factor + smooth * frequency;
}

// YaRN: the pair index at which a full context makes `rotations` turns.
double correction_index(double rotations, double dim, const RopeConfig& config) {
  return dim *
         std::log(static_cast<double>(config.original_context) /
                  (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(static_cast<double>(config.theta)));
}

void scale_yarn(std::vector<float>& frequencies, int64_t dim, const RopeConfig& config) {
  const auto d = static_cast<double>(dim);
  const double low = std::max(std::floor(correction_index(config.beta_fast, d, config)), 0.0);
  double high = std::min(std::ceil(correction_index(config.beta_slow, d, config)), d - 1.0);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const auto ramp =
        static_cast<float>(std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));
    const float kept = 1.0F - ramp;
    frequencies[i] = frequencies[i] / config.factor * (1.0F - kept) + frequencies[i] * kept;
  }
}

}  // namespace

RopeTable::RopeTable(const RopeConfig& config, int64_t dim)
    : inverse_frequency_(static_cast<size_t>(dim / 2)),
      attention_factor_(config.attention_factor),
      interleaved_(config.layout == RopeLayout::kInterleaved) {
  for (size_t i = 0; i < inverse_frequency_.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    inverse_frequency_[i] = 1.0F / std::pow(config.theta, exponent);
  }
  switch (config.scaling) {
    case RopeScaling::kNone:
      break;
    case RopeScaling::kLinear:
      for (float& f : inverse_frequency_) f /= config.factor;
      break;
    case RopeScaling::kLlama3:
      for (float& f : inverse_frequency_) f = scale_llama3(f, config);
      break;
    case RopeScaling::kYarn:
      scale_yarn(inverse_frequency_, dim, config);
      break;
  }
  const size_t factors = std::min(config.frequency_factors.size(), inverse_frequency_.size());
  for (size_t i = 0; i < factors; ++i) inverse_frequency_[i] /= config.frequency_factors[i];
}

void RopeTable::fill(std::span<const int32_t> positions, float* out) const {
  const size_t half = inverse_frequency_.size();
  for (const int32_t position : positions) {
    for (size_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(position) * inverse_frequency_[i];
      out[i] = std::cos(angle) * attention_factor_;
      out[half + i] = std::sin(angle) * attention_factor_;
    }
    out += 2 * half;
  }
}

}  // namespace fathom
