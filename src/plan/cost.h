// What deployments cost: rent, or writing off what was bought, and energy; per hour, per million
// requests and tokens; the volume from which one is cheaper than another; a small model in front of
// a large one. Formulas are in docs/planning.md. Plain data and pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "plan/deployment.h"
#include "plan/prediction.h"

namespace fathom::plan {

struct Prices {
  double usd_per_kwh = 0.15;
  double write_off_years = 3;  // of hardware that was bought
  double energy_factor = 1.3;  // the whole room's draw over the devices' (PUE)
  bool buy = false;            // even what could be rented (on premises)
};

struct HourlyCost {
  double hardware = 0;  // rent or write-off, US dollars
  double energy = 0;    // 0 where rent includes it
  bool known = false;   // false: the hardware has neither a rent nor a price
  bool rented = false;
  double total() const { return hardware + energy; }
};
// `watts`: of all devices, on average.
HourlyCost hourly_cost(const Deployment& deployment, double watts, const Prices& prices);

// Fills in the prediction's costs from its watts, requests and tokens per second.
void add_costs(const Deployment& deployment, const Prices& prices, Prediction& prediction);

// A deployment as the cost of a month of so many requests: devices stand there whether asked or
// not, and are added by whole copies.
struct CostModel {
  double fixed_usd = 0;           // once a month: whatever the user adds
  double copy_usd_per_month = 0;  // hardware, and energy while idle
  double requests_per_month = 0;  // that one copy keeps up with
  double usd_per_request = 0;     // energy above idle, and what else each request costs
};
CostModel cost_model(const Deployment& deployment, const Prediction& prediction,
                     const Prices& prices);
// Of a month with so many requests; at least one copy.
double month_usd(const CostModel& model, double requests);

// Lite answers all and passes `escalated` (0 to 1) of them on to V1: both cost models together.
double hybrid_month_usd(const CostModel& lite, const CostModel& v1, double escalated,
                        double requests);

// Where one stops being the cheaper. Costs grow in steps of whole copies, so that near it the order
// may change more than once: this is the first time.
struct BreakEven {
  bool second_is_cheaper_below = false;      // at the least volume, one request
  std::optional<double> requests_per_month;  // nothing: the same is cheaper up to the bound
};
BreakEven break_even(const CostModel& first, const CostModel& second, double most_requests = 1e12);

// The monthly fixed cost to add to `first` so that both cost the same at `requests`.
double fixed_cost_for(const CostModel& first, const CostModel& second, double requests);

}  // namespace fathom::plan
