#include "plan/cost.h"

#include <algorithm>
#include <cmath>

namespace fathom::plan {
namespace {

constexpr double kHoursPerYear = 8766;
constexpr double kHoursPerMonth = kHoursPerYear / 12;
constexpr double kJoulesPerKwh = 3.6e6;
constexpr int kScanned = 20'000;

double energy_usd_per_hour(double watts, const Prices& prices) {
  return watts / 1000 * prices.energy_factor * prices.usd_per_kwh;
}

}  // namespace

HourlyCost hourly_cost(const Deployment& deployment, double watts, const Prices& prices) {
  const Hardware& hardware = deployment.hardware;
  HourlyCost cost;
  const double devices = deployment.devices();
  if (hardware.usd_per_hour > 0 && !prices.buy) {
    cost.hardware = devices * hardware.usd_per_hour;
    cost.known = cost.rented = true;
  } else if (hardware.purchase_usd > 0) {
    cost.hardware = devices * hardware.purchase_usd / (prices.write_off_years * kHoursPerYear);
    cost.energy = energy_usd_per_hour(watts, prices);
    cost.known = true;
  }
  return cost;
}

void add_costs(const Deployment& deployment, const Prices& prices, Prediction& prediction) {
  const HourlyCost cost = hourly_cost(deployment, prediction.watts, prices);
  prediction.usd_per_hour = cost.total();
  const auto per_million = [&](double per_second) {
    return per_second > 0 ? cost.total() / 3600 / per_second * 1e6 : 0;
  };
  prediction.usd_per_million_requests = per_million(prediction.requests_per_second);
  prediction.usd_per_million_tokens = per_million(prediction.output_tokens_per_second);
}

CostModel cost_model(const Deployment& deployment, const Prediction& prediction,
                     const Prices& prices) {
  const double copies = deployment.replicas;
  const double idle_watts = deployment.hardware.idle_watts * deployment.devices();
  const HourlyCost idle = hourly_cost(deployment, idle_watts, prices);
  CostModel model;
  model.copy_usd_per_month = idle.total() / copies * kHoursPerMonth;
  model.requests_per_month = prediction.most_requests_per_second / copies * 3600 * kHoursPerMonth;
  if (idle.known && !idle.rented && prediction.requests_per_second > 0) {
    const double joules =
        std::max(prediction.watts - idle_watts, 0.0) / prediction.requests_per_second;
    model.usd_per_request = joules / kJoulesPerKwh * prices.energy_factor * prices.usd_per_kwh;
  }
  return model;
}

double month_usd(const CostModel& model, double requests) {
  const double copies = model.requests_per_month > 0
                            ? std::max(std::ceil(requests / model.requests_per_month), 1.0)
                            : 1;
  return model.fixed_usd + copies * model.copy_usd_per_month + requests * model.usd_per_request;
}

double hybrid_month_usd(const CostModel& lite, const CostModel& v1, double escalated,
                        double requests) {
  return month_usd(lite, requests) + month_usd(v1, escalated * requests);
}

BreakEven break_even(const CostModel& first, const CostModel& second, double most_requests) {
  const auto second_cheaper = [&](double requests) {
    return month_usd(second, requests) < month_usd(first, requests);
  };
  BreakEven result{.second_is_cheaper_below = second_cheaper(1), .requests_per_month = {}};
  double before = 1;
  for (int i = 1; i <= kScanned; ++i) {
    const double requests = std::pow(most_requests, static_cast<double>(i) / kScanned);
    if (second_cheaper(requests) == result.second_is_cheaper_below) {
      before = requests;
      continue;
    }
    double after = requests;
    while (after - before > 0.5) {
      const double middle = (before + after) / 2;
      if (middle <= before || middle >= after) break;
      (second_cheaper(middle) == result.second_is_cheaper_below ? before : after) = middle;
    }
    result.requests_per_month = after;
    break;
  }
  return result;
}

double fixed_cost_for(const CostModel& first, const CostModel& second, double requests) {
  return month_usd(second, requests) - month_usd(first, requests);
}

}  // namespace fathom::plan
