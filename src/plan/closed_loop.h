// Sessions that ask again as soon as they have their answer, as those who wait for their prompts
// see it: a station where prompts are computed, the faster the more of them are there, and
// decoding, in which all others are meanwhile. What one more finds there is what the others alone
// would make of it (Sevcik and Mitrani 1981; Lavenberg and Reiser 1980). Pure; any thread.
#pragma once

#include <vector>

#include "plan/demand.h"
#include "plan/service_rates.h"

namespace fathom::plan {

class ClosedLoop {
 public:
  // `state`: of a copy that has all the sessions' requests. Table and server must outlive it.
  ClosedLoop(const StepTable& table, const ServerModel& server, const Demand& demand,
             const ServiceState& state, double sessions);

  // Times in seconds of a prompt of so many rows with none before it.
  double own(double rows) const { return seconds_of(rows, 1); }
  // For others' prompts: at a share of all requests, and on average.
  double wait(double share) const;
  double mean_wait() const;

 private:
  void add_size(double prompts);
  double all_seconds(double prompts) const;
  double wait_behind(double n, double within) const;
  void fill_chances();
  void fill_regular();
  double seconds_of(double rows, double prompts) const;
  double mixed(double by_chance) const { return chance_ * by_chance + (1 - chance_) * regular_; }

  const StepTable& table_;
  const ServerModel& server_;
  double prompt_;
  double sessions_;
  double decoding_ = 0;  // seconds of an answer
  double others_ = 1;    // that decode beside a prompt
  double alone_ = 0;     // the chance that none does
  double regular_ = 0;   // wait of each, where all lengths are equal
  double chance_ = 1;    // how much it is by chance when they come
  std::vector<double> sizes_;
  std::vector<double> all_;
  std::vector<double> chances_;
};

}  // namespace fathom::plan
