// How much a step may take on, so that nobody who reads along sees an answer stall. Two bounds:
//  - One prompt that comes in makes a step of the sequences that decode at most `max_stall` times
//    as long as it is without; more prompts may add as much each, until steps take
//    `target_seconds`.
//  - While steps take longer than target_seconds, no sequences are admitted beyond a few.
// Learns from the times of past steps, since what a row costs depends on the model, the machine,
// the length of contexts and who else uses the processor.
//
// Few sequences that decode with a mixture of experts read few of its experts, and the first rows
// of a prompt most of the others, for each row chooses its own: a row or two would be all that the
// bound allows, at many times what a row costs among many, and prompts would hardly come in. There
// the bound is measured by a step that reads all weights, but is never more than twice max_stall.
//
// No clock of its own: whoever runs steps tells how long they took. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/scheduler.h"
#include "models/step_cost.h"

namespace fathom {

struct StepPace {
  double max_stall = 2.0;       // at least 1
  double target_seconds = 0.1;  // 0: no bound on how many sequences run
};

// How many times as long as without, a step with so many sequences that decode may take for one
// prompt: max_stall, or up to twice that where those sequences read few of the weights.
double stall_of(const StepPace& pace, const WeightReads& reads, double decoding);

class StepPacer {
 public:
  // Of what a step may take, what it is planned to: estimates are averages and steps scatter.
  static constexpr double kMargin = 0.85;
  // So many run together even where each step is slower than wanted: their tokens cost far less
  // than those of fewer would.
  static constexpr int64_t kAlwaysTogether = 8;

  explicit StepPacer(const StepPace& pace, const WeightReads& reads = {});

  // For the next step, with so many sequences that decode, and so many whose prompt is not yet
  // computed or that wait. Now and then no rows are left for prompts, to learn how long a step
  // without them takes; there is no bound if nobody decodes.
  StepLimits limits(int64_t decoding, int64_t incoming);
  // A step was run.
  void observe(int64_t decoding, int64_t prompt_rows, double seconds);

  double decode_step_seconds(int64_t decoding) const;  // the estimate; 0 before the first
  double prompt_row_seconds() const { return prompt_row_seconds_; }

 private:
  // Of steps without prompts, for a range of batch sizes.
  struct DecodeTime {
    double seconds = 0;       // moving average; 0: never measured
    int64_t steps_since = 0;  // steps of this batch size, with prompts, since it was measured
  };
  static size_t range_of(int64_t decoding);
  static double average(double old, double now, double share);
  int64_t prompt_rows(int64_t decoding, int64_t incoming) const;

  StepPace pace_;
  WeightReads reads_;
  std::array<DecodeTime, 64> decode_{};
  double prompt_row_seconds_ = 0;  // beyond the decode step; 0: never measured
  bool measured_beside_ = false;   // not only in steps of prompts alone
  double step_seconds_ = 0;        // of the last steps in which anybody decoded
};

}  // namespace fathom
