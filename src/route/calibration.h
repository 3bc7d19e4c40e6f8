// Fits a route's confidence to questions whose answers were judged, and draws what each threshold
// would cost and be worth.
//
// Pure functions over numbers: whoever calls has run the models. Logistic regression by Newton's
// method with a small ridge, so that it converges where the two classes are separable too.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "route/policy.h"

namespace fathom::route {

// One question. Qualities are 0 to 1; costs are in any one unit.
struct Trial {
  Evidence evidence;
  double lite_quality = 0;
  double v1_quality = 0;
  double judged_cost = 0;  // of what Lite computes until it is judged
  double lite_cost = 0;    // of Lite's whole answer
  double v1_cost = 0;
};

// Lite is good enough where it is at least as good as V1.
Logistic fit(std::span<const Trial> trials);

// What comes of a threshold, on average over questions.
struct CurvePoint {
  double threshold = 0;
  double escalated = 0;  // share of questions that V1 answers
  double quality = 0;
  double cost = 0;
};

CurvePoint evaluate(const Policy& policy, std::span<const Trial> trials);
// Of every threshold that makes a difference, from 0 (Lite answers all) to 1 (V1 does); escalated
// never falls along it. `policy` says how confidence is computed.
std::vector<CurvePoint> curve(const Policy& policy, std::span<const Trial> trials);

// The cheapest point of at least that quality; the best of at most that cost (the cheaper of
// equals). Nothing where no point is.
std::optional<CurvePoint> cheapest_with_quality(std::span<const CurvePoint> curve, double quality);
std::optional<CurvePoint> best_within_cost(std::span<const CurvePoint> curve, double cost);

}  // namespace fathom::route
