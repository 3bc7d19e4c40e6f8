// How fast one copy of a model serves, for each number of requests that are there: a fixed point of
// how long a prompt and a token take while the others have their prompts and tokens computed too,
// with as many rows of prompts in a step as StepPacer allows. What queueing.h and closed_loop.h
// reckon with; docs/planning.md derives it. Pure; any thread.
#pragma once

#include <array>
#include <vector>

#include "plan/demand.h"
#include "plan/simulation.h"

namespace fathom::plan {

// Seconds of steps, tabulated: over how many decode, and rows of prompts with them.
class StepTable {
 public:
  // Up to `most` that decode.
  StepTable(const ServerModel& server, const Demand& demand, double most, StepSeconds step_seconds);

  double time(double decoding, double rows) const;
  // Alone, in as few steps as there can be.
  double whole_prompt(double rows) const;
  double most_rows() const { return most_rows_; }

 private:
  static constexpr std::array<double, 4> kRows{0, 32, 128, 512};
  using Row = std::array<double, kRows.size()>;
  static double over_rows(const Row& seconds, double rows);

  double decode_context_ = 0;
  double most_rows_ = 512;
  std::vector<double> sizes_;
  std::vector<Row> seconds_;
};

struct PrefillStep {
  double rows = 1;     // of a step
  double seconds = 0;  // of such a step
};
// What StepPacer lets `prompts` of them have beside those that decode.
PrefillStep prefill_step(const StepTable& table, const ServerModel& server, double decoding,
                         double prompts);

// A copy that always has so many requests.
struct ServiceState {
  double prefill = 0;   // seconds of a request until its first token
  double alone = 0;     // the same with no other prompt beside it
  double token = 0;     // seconds between two of its tokens
  double rate = 0;      // requests that end a second
  double decoding = 0;  // that decode
};

// States at some sizes, and between them by interpolation.
class ServiceStates {
 public:
  ServiceStates(const StepTable& table, const ServerModel& server, const Demand& demand,
                double most);

  ServiceState at(double n) const;
  // Admission stops while steps take longer than wanted.
  double most_within(double seconds) const;

 private:
  std::vector<double> sizes_;
  std::vector<ServiceState> states_;
};

}  // namespace fathom::plan
