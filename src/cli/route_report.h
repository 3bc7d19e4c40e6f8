// What a calibration found, for people: the curve of quality against cost as a table and a picture.
#pragma once

#include <span>
#include <string>

#include "route/calibration.h"

namespace fathom::cli {

// Costs as shares of what V1 costs when it answers everything. At most `rows` of the points, spread
// over the share that V1 answers.
std::string curve_table(std::span<const route::CurvePoint> curve, size_t rows);

// SVG: quality over cost, with the chosen point marked.
std::string draw_curve(std::span<const route::CurvePoint> curve, const route::CurvePoint& chosen);

}  // namespace fathom::cli
