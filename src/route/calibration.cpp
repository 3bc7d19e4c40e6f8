#include "route/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace fathom::route {
namespace {

constexpr int kFeatures = 3;
constexpr int kSteps = 50;
// Weight of a prior that coefficients are small, in questions: far below what data say, enough
// against separable data.
constexpr double kRidge = 0.1;

using Vector = std::array<double, kFeatures>;
using Matrix = std::array<Vector, kFeatures>;

Vector features(const Evidence& evidence) {
  return {1, evidence.mean_logprob, evidence.mean_entropy};
}

// Solves m x = v for a positive definite m by Cholesky's method.
Vector solve(const Matrix& m, const Vector& v) {
  Matrix l{};
  for (size_t i = 0; i < kFeatures; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double sum = m[i][j];
      for (size_t k = 0; k < j; ++k) sum -= l[i][k] * l[j][k];
      l[i][j] = i == j ? std::sqrt(sum) : sum / l[j][j];
    }
  }
  Vector x = v;
  for (size_t i = 0; i < kFeatures; ++i) {
    for (size_t k = 0; k < i; ++k) x[i] -= l[i][k] * x[k];
    x[i] /= l[i][i];
  }
  for (size_t i = kFeatures; i-- > 0;) {
    for (size_t k = i + 1; k < kFeatures; ++k) x[i] -= l[k][i] * x[k];
    x[i] /= l[i][i];
  }
  return x;
}

// log(1 + e^x) without overflow.
double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

bool is_good(const Trial& trial) {
  return trial.lite_quality >= trial.v1_quality;
}

// What the fit makes small: the negative log-likelihood, and the ridge.
double loss(const Vector& w, std::span<const Trial> trials) {
  double sum = 0;
  for (const double weight : w) sum += kRidge / 2 * weight * weight;
  for (const Trial& trial : trials) {
    const Vector x = features(trial.evidence);
    const double score = w[0] * x[0] + w[1] * x[1] + w[2] * x[2];
    sum += softplus(is_good(trial) ? -score : score);
  }
  return sum;
}

bool stays_with_lite(const Policy& policy, const Trial& trial) {
  return confidence_in(policy, trial.evidence) >= policy.threshold;
}

}  // namespace

Logistic fit(std::span<const Trial> trials) {
  Vector w{};
  for (int step = 0; step < kSteps; ++step) {
    Vector gradient{};
    Matrix hessian{};
    for (size_t i = 0; i < kFeatures; ++i) {
      gradient[i] = -kRidge * w[i];
      hessian[i][i] = kRidge;
    }
    for (const Trial& trial : trials) {
      const Vector x = features(trial.evidence);
      const double good = is_good(trial) ? 1 : 0;
      const double p = Logistic{w[0], w[1], w[2]}.probability(trial.evidence);
      for (size_t i = 0; i < kFeatures; ++i) {
        gradient[i] += (good - p) * x[i];
        for (size_t j = 0; j < kFeatures; ++j) hessian[i][j] += p * (1 - p) * x[i] * x[j];
      }
    }
    const Vector change = solve(hessian, gradient);
    // A whole step may be too far where the two classes lie apart.
    const double before = loss(w, trials);
    Vector next{};
    double after = before;
    double size = 1;
    for (; size > 1e-6; size /= 2) {
      for (size_t i = 0; i < kFeatures; ++i) next[i] = w[i] + size * change[i];
      after = loss(next, trials);
      if (after <= before) break;
    }
    if (!(after <= before)) break;
    w = next;
    if (before - after < 1e-12 * (1 + before)) break;
  }
  return {.bias = w[0], .mean_logprob = w[1], .mean_entropy = w[2]};
}

CurvePoint evaluate(const Policy& policy, std::span<const Trial> trials) {
  CurvePoint point{.threshold = policy.threshold};
  for (const Trial& trial : trials) {
    const bool stays = stays_with_lite(policy, trial);
    point.escalated += stays ? 0 : 1;
    point.quality += stays ? trial.lite_quality : trial.v1_quality;
    point.cost += stays ? trial.lite_cost : trial.judged_cost + trial.v1_cost;
  }
  const double count = std::max<double>(1, static_cast<double>(trials.size()));
  point.escalated /= count;
  point.quality /= count;
  point.cost /= count;
  return point;
}

std::vector<CurvePoint> curve(const Policy& policy, std::span<const Trial> trials) {
  std::vector<double> confidences;
  for (const Trial& trial : trials) confidences.push_back(confidence_in(policy, trial.evidence));
  std::ranges::sort(confidences);
  confidences.erase(std::ranges::unique(confidences).begin(), confidences.end());
  // Between two neighbours any threshold does the same; the middle is the most robust.
  std::vector<double> thresholds = {0};
  for (size_t i = 0; i + 1 < confidences.size(); ++i) {
    thresholds.push_back((confidences[i] + confidences[i + 1]) / 2);
  }
  if (confidences.empty() || confidences.back() < 1) thresholds.push_back(1);
  std::vector<CurvePoint> points;
  Policy tried = policy;
  for (const double threshold : thresholds) {
    tried.threshold = threshold;
    points.push_back(evaluate(tried, trials));
  }
  return points;
}

std::optional<CurvePoint> cheapest_with_quality(std::span<const CurvePoint> curve, double quality) {
  std::optional<CurvePoint> best;
  for (const CurvePoint& point : curve) {
    if (point.quality >= quality && (!best || point.cost < best->cost)) best = point;
  }
  return best;
}

std::optional<CurvePoint> best_within_cost(std::span<const CurvePoint> curve, double cost) {
  std::optional<CurvePoint> best;
  for (const CurvePoint& point : curve) {
    if (point.cost > cost) continue;
    if (!best || std::pair(point.quality, -point.cost) > std::pair(best->quality, -best->cost)) {
      best = point;
    }
  }
  return best;
}

}  // namespace fathom::route
