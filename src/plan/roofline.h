// A roofline picture (Williams, Waterman and Patterson 2009): operations a second over operations a
// byte, both logarithmic, with the machine's ceilings as the roof and measured steps as points.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/machine_limits.h"

namespace fathom::plan {

struct RooflinePoint {
  std::string label;
  bool prefill = false;
  double ops_per_byte = 0;
  double ops_per_second = 0;
};

// SVG. The limits must be known (above 0).
std::string draw_roofline(std::string_view title, const MachineLimits& limits,
                          const std::vector<RooflinePoint>& points);

}  // namespace fathom::plan
