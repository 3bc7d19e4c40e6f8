#include "tensor/super_block.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/assert.h"
#include "tensor/dequantize.h"

namespace fathom {

namespace {

constexpr size_t kBlock = SuperBlockCodec::kSize;
constexpr int kRounds = 4;  // of choosing multiples and fitting what they are multiples of

// To the nearest whole number in [low, high] (as in encode.cpp: a sum rounds, and makes vectors).
float rounded(float x, float low, float high) {
  constexpr float kNoFraction = 12582912.0F;  // 1.5 * 2^23
  return (std::min(std::max(x, low), high) + kNoFraction) - kNoFraction;
}

float through_half(float value) {
  constexpr float kMostHalf = 65504.0F;
  return half_to_float(float_to_half(std::clamp(value, -kMostHalf, kMostHalf)));
}

float inverse_of(float d) {
  const float inverse = d == 0.0F ? 0.0F : 1.0F / d;
  return std::isfinite(inverse) ? inverse : 0.0F;
}

// Weighted sums of codes q and values v, from which the best scale and minimum for the codes
// follow.
struct Sums {
  double ones = 0;
  double q = 0;
  double v = 0;
  double qq = 0;
  double qv = 0;
  double vv = 0;

  double loss(double d, double m) const {
    return vv + d * d * qq + m * m * ones + 2 * d * m * q - 2 * d * qv - 2 * m * v;
  }
};

Sums sums_of(std::span<const float> values, std::span<const float> weights, float inverse, float m,
             float low, float high) {
  constexpr size_t kLanes = 8;
  std::array<float, kLanes> ones{};
  std::array<float, kLanes> sq{};
  std::array<float, kLanes> sv{};
  std::array<float, kLanes> qq{};
  std::array<float, kLanes> qv{};
  std::array<float, kLanes> vv{};
  for (size_t i = 0; i < values.size(); i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) {
      const float v = values[i + k];
      const float w = weights[i + k];
      const float q = rounded((v - m) * inverse, low, high);
      ones[k] += w;
      sq[k] += w * q;
      sv[k] += w * v;
      qq[k] += w * q * q;
      qv[k] += w * q * v;
      vv[k] += w * v * v;
    }
  }
  Sums sums;
  for (size_t k = 0; k < kLanes; ++k) {
    sums.ones += static_cast<double>(ones[k]);
    sums.q += static_cast<double>(sq[k]);
    sums.v += static_cast<double>(sv[k]);
    sums.qq += static_cast<double>(qq[k]);
    sums.qv += static_cast<double>(qv[k]);
    sums.vv += static_cast<double>(vv[k]);
  }
  return sums;
}

}  // namespace

bool SuperBlockCodec::exists(DType dtype) {
  return dtype == DType::kQ2_K || dtype == DType::kQ3_K || dtype == DType::kQ4_K ||
         dtype == DType::kQ5_K || dtype == DType::kQ6_K;
}

SuperBlockCodec::SuperBlockCodec(DType dtype)
    : dtype_(dtype), group_(32), bytes_(info(dtype).block_bytes), high_(15), most_scale_(63) {
  FATHOM_ASSERT(exists(dtype) && info(dtype).block_elements == kSize);
  if (dtype == DType::kQ2_K) {
    group_ = 16;
    high_ = 3;
    most_scale_ = 15;
  } else if (dtype == DType::kQ5_K) {
    high_ = 31;
  } else if (dtype == DType::kQ3_K || dtype == DType::kQ6_K) {
    const bool three = dtype == DType::kQ3_K;
    group_ = 16;
    low_ = three ? -4 : -32;
    high_ = three ? 3 : 31;
    least_scale_ = three ? -32 : -128;
    most_scale_ = three ? 31 : 127;
    has_min_ = false;
  }
}

SuperBlockCodec::Fit SuperBlockCodec::refitted(std::span<const float> values, Weights weights,
                                               Fit fit) const {
  const Sums sums = sums_of(values, weights, inverse_of(fit.d), fit.m, static_cast<float>(low_),
                            static_cast<float>(high_));
  double d = sums.qq > 0 ? sums.qv / sums.qq : 0;
  double m = 0;
  if (has_min_) {
    const double determinant = sums.qq * sums.ones - sums.q * sums.q;
    if (determinant > 1e-6 * sums.qq * sums.ones) {
      const double free_d = (sums.qv * sums.ones - sums.q * sums.v) / determinant;
      const double free_m = (sums.v * sums.qq - sums.q * sums.qv) / determinant;
      if (free_m <= 0) {
        d = free_d;
        m = free_m;
      }
    } else if (sums.v < 0) {  // one code for all of them
      d = 0;
      m = sums.v / sums.ones;
    }
    d = std::max(d, 0.0);
  }
  return {static_cast<float>(d), static_cast<float>(m), sums.loss(d, m)};
}

SuperBlockCodec::Fit SuperBlockCodec::best_fit(std::span<const float> values,
                                               Weights weights) const {
  const auto [least, most] = std::ranges::minmax(values);
  Fit best{.loss = std::numeric_limits<double>::infinity()};
  const auto consider = [&](float d, float m) {
    const Fit once = refitted(values, weights, {d, m});
    if (once.loss < best.loss) best = once;
  };
  if (has_min_) {
    const float bottom = std::min(least, 0.0F);
    const float top = std::max(most, bottom);
    constexpr std::array<float, 10> kTops{1.05F, 1.0F,  0.95F, 0.9F,  0.85F,
                                          0.8F,  0.75F, 0.7F,  0.65F, 0.55F};
    constexpr std::array<float, 4> kBottoms{1.0F, 0.9F, 0.8F, 0.65F};
    for (const float low : kBottoms) {
      for (const float high : kTops) {
        consider((high * top - low * bottom) / static_cast<float>(high_), low * bottom);
      }
    }
  } else {
    const float extreme = std::max(-least, most);
    constexpr int kSteps = 24;
    const float widest = static_cast<float>(-low_) + 0.5F;
    const float narrowest = dtype_ == DType::kQ3_K ? 2.3F : 26.0F;
    for (int i = 0; i <= kSteps; ++i) {
      const float range =
          widest + (narrowest - widest) * static_cast<float>(i) / static_cast<float>(kSteps);
      consider(extreme / range, 0);
      consider(-extreme / range, 0);
    }
  }
  for (int round = 0; round < 3; ++round) {
    const Fit again = refitted(values, weights, best);
    if (!(again.loss < best.loss)) break;
    best = again;
  }
  return best;
}

double SuperBlockCodec::loss(std::span<const float> values, Weights weights,
                             GroupScale scale) const {
  constexpr size_t kLanes = 8;
  const float inverse = inverse_of(scale.d);
  const auto low = static_cast<float>(low_);
  const auto high = static_cast<float>(high_);
  std::array<float, kLanes> sums{};
  for (size_t i = 0; i < values.size(); i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) {
      const float q = rounded((values[i + k] - scale.m) * inverse, low, high);
      const float error = q * scale.d + scale.m - values[i + k];
      sums[k] += weights[i + k] * error * error;
    }
  }
  double sum = 0;
  for (const float lane : sums) sum += static_cast<double>(lane);
  return sum;
}

// The groups' own fits as multiples of a common d and dmin; stretch: of the d that the largest one
// needs, so that below 1 it is cut off and the others are multiples of something finer.
SuperBlockCodec::Scales SuperBlockCodec::multiples(std::span<const float> values, Weights weights,
                                                   std::span<const Fit> fits, float stretch) const {
  float largest = 0;
  float deepest = 0;
  for (const Fit& fit : fits) {
    if (std::fabs(fit.d) > std::fabs(largest)) largest = fit.d;
    deepest = std::min(deepest, fit.m);
  }
  Scales scales;
  // The side with one multiple more takes the extreme one, whatever its sign.
  const int extreme = has_min_ ? most_scale_ : least_scale_;
  scales.d = through_half(largest * stretch / static_cast<float>(extreme));
  scales.dmin = through_half(-deepest * stretch / static_cast<float>(most_scale_));
  const float inverse = inverse_of(scales.d);
  const float inverse_min = inverse_of(scales.dmin);
  for (size_t j = 0; j < fits.size(); ++j) {
    scales.scale[j] = static_cast<int>(rounded(
        fits[j].d * inverse, static_cast<float>(least_scale_), static_cast<float>(most_scale_)));
    scales.min[j] =
        static_cast<int>(rounded(-fits[j].m * inverse_min, 0.0F, static_cast<float>(most_scale_)));
  }
  refit_common(values, weights, scales);
  return scales;
}

// Each group's multiples become the best of their neighbours. Returns the whole loss.
double SuperBlockCodec::improve(std::span<const float> values, Weights weights,
                                Scales& scales) const {
  const auto size = static_cast<size_t>(group_);
  double total = 0;
  for (size_t j = 0; j < kBlock / size; ++j) {
    const std::span group = values.subspan(j * size, size);
    const Weights matter = weights.subspan(j * size, size);
    double least = loss(group, matter, scales.of(j));
    for (bool moved = true; moved;) {
      moved = false;
      const int scale = scales.scale[j];
      const int min = scales.min[j];
      for (int ds = -1; ds <= 1; ++ds) {
        for (int dm = has_min_ ? -1 : 0; dm <= (has_min_ ? 1 : 0); ++dm) {
          const int next = scale + ds;
          const int next_min = min + dm;
          if ((ds == 0 && dm == 0) || next < least_scale_ || next > most_scale_ || next_min < 0 ||
              next_min > most_scale_) {
            continue;
          }
          const double lost = loss(
              group, matter,
              {scales.d * static_cast<float>(next), -(scales.dmin * static_cast<float>(next_min))});
          if (!(lost < least)) continue;
          least = lost;
          scales.scale[j] = next;
          scales.min[j] = next_min;
          moved = true;
        }
      }
    }
    total += least;
  }
  return total;
}

// d and dmin by least squares for the codes that values get by the multiples. Kept as they are
// where nothing determines them.
void SuperBlockCodec::refit_common(std::span<const float> values, Weights weights,
                                   Scales& scales) const {
  const auto size = static_cast<size_t>(group_);
  // Of a = scale * q and b = -min, the value being d * a + dmin * b.
  double aa = 0;
  double ab = 0;
  double bb = 0;
  double av = 0;
  double bv = 0;
  for (size_t j = 0; j < kBlock / size; ++j) {
    const GroupScale now = scales.of(j);
    const Sums sums =
        sums_of(values.subspan(j * size, size), weights.subspan(j * size, size), inverse_of(now.d),
                now.m, static_cast<float>(low_), static_cast<float>(high_));
    const double scale = scales.scale[j];
    const double min = -scales.min[j];
    aa += scale * scale * sums.qq;
    ab += scale * min * sums.q;
    bb += min * min * sums.ones;
    av += scale * sums.qv;
    bv += min * sums.v;
  }
  double d = aa > 0 ? av / aa : 0;
  auto dmin = static_cast<double>(scales.dmin);
  const double determinant = aa * bb - ab * ab;
  if (has_min_ && determinant > 1e-6 * aa * bb) {
    d = (av * bb - ab * bv) / determinant;
    dmin = (bv * aa - ab * av) / determinant;
  } else if (has_min_ && aa > 0) {
    d = (av - ab * dmin) / aa;
  }
  const float stored = through_half(static_cast<float>(d));
  if (stored == 0.0F || (stored > 0) != (scales.d > 0) || dmin < 0) return;
  scales.d = stored;
  scales.dmin = through_half(static_cast<float>(dmin));
}

SuperBlockCodec::Scales SuperBlockCodec::choose(std::span<const float> values,
                                                const float* importance) const {
  FATHOM_ASSERT(std::ssize(values) == kSize);
  std::array<float, kBlock> weights;
  weights.fill(1.0F);
  if (importance != nullptr) {
    double sum = 0;
    for (size_t i = 0; i < kBlock; ++i) sum += static_cast<double>(importance[i]);
    // A value that never mattered in the text may matter elsewhere.
    const auto mean = static_cast<float>(sum / static_cast<double>(kBlock));
    for (size_t i = 0; i < kBlock && mean > 0; ++i) weights[i] = importance[i] / mean + 1e-3F;
  }
  const auto size = static_cast<size_t>(group_);
  const size_t groups = kBlock / size;
  std::array<Fit, kMostGroups> fits;
  for (size_t j = 0; j < groups; ++j) {
    fits[j] = best_fit(values.subspan(j * size, size), Weights(weights).subspan(j * size, size));
  }
  // Where multiples have four or six bits, how fine they are makes a difference.
  constexpr std::array<float, 5> kStretches{1.0F, 0.94F, 0.88F, 0.82F, 0.76F};
  const size_t tried = dtype_ == DType::kQ6_K ? 1 : dtype_ == DType::kQ2_K ? kStretches.size() : 2;
  Scales best;
  double least = std::numeric_limits<double>::infinity();
  for (size_t k = 0; k < tried; ++k) {
    Scales scales = multiples(values, weights, std::span(fits).first(groups), kStretches[k]);
    for (int round = 0; round < kRounds; ++round) {
      const double lost = improve(values, weights, scales);
      if (lost < least) {
        least = lost;
        best = scales;
      }
      const Scales before = scales;
      refit_common(values, weights, scales);
      if (scales.d == before.d && scales.dmin == before.dmin) break;
    }
  }
  return best;
}

int SuperBlockCodec::nearest(GroupScale scale, float value) const {
  return static_cast<int>(rounded((value - scale.m) * inverse_of(scale.d), static_cast<float>(low_),
                                  static_cast<float>(high_)));
}

void SuperBlockCodec::encode(std::span<const float> values, const float* importance,
                             std::byte* out) const {
  const Scales scales = choose(values, importance);
  std::array<int8_t, kBlock> codes;
  for (size_t i = 0; i < kBlock; ++i) {
    codes[i] = static_cast<int8_t>(nearest(scales.of(i / static_cast<size_t>(group_)), values[i]));
  }
  write(scales, codes, out);
}

void SuperBlockCodec::approximate(std::span<const float> values, float* out) const {
  const auto size = static_cast<size_t>(group_);
  const auto low = static_cast<float>(low_);
  const auto high = static_cast<float>(high_);
  for (size_t at = 0; at < values.size(); at += size) {
    const std::span group = values.subspan(at, size);
    const auto [least, most] = std::ranges::minmax(group);
    const float m = has_min_ ? std::min(least, 0.0F) : 0.0F;
    const float d = has_min_ ? (most - m) / high : (-least > most ? least : most) / low;
    const float inverse = inverse_of(d);
    for (size_t i = 0; i < size; ++i) {
      out[at + i] = rounded((group[i] - m) * inverse, low, high) * d + m;
    }
  }
}

void encode_super_blocks(const SuperBlockCodec& codec, std::span<const float> values,
                         std::byte* out) {
  for (size_t at = 0; at < values.size(); at += kBlock, out += codec.bytes()) {
    codec.encode(values.subspan(at, kBlock), nullptr, out);
  }
}

}  // namespace fathom
