// The scale of a group that loses least. The one that just covers the group is rarely it: with a
// smaller one the outermost values are clipped and all others fall on a finer grid. Tried are
// several ranges, and for the codes that each gives the scale (and minimum) that fits the values
// best, by least squares weighted by how much each value matters.
#pragma once

#include <array>
#include <span>

#include "tensor/encode.h"

namespace fathom {

constexpr std::array<float, 11> kRanges{1.0F,  1.08F, 1.04F, 0.96F, 0.92F, 0.88F,
                                        0.84F, 0.8F,  0.74F, 0.68F, 0.6F};

// importance: the second moment of each value's input. loss(scale): of the group with it; the
// first of equals is taken.
template <typename Loss>
GroupScale best_scale(const GroupCodec& codec, std::span<const float> values,
                      const float* importance, Loss loss) {
  GroupScale best = codec.fit(values, kRanges.front());
  float least = loss(best);
  const auto consider = [&](GroupScale scale) {
    const float lost = loss(scale);
    if (!(lost < least)) return;
    least = lost;
    best = scale;
  };
  for (const float range : kRanges) {
    const GroupScale scale = codec.fit(values, range);
    if (range != kRanges.front()) consider(scale);
    consider(codec.refit(scale, values, importance));
  }
  return best;
}

}  // namespace fathom
