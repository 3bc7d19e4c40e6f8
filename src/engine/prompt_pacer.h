// How many rows of prompts a step may have beside the sequences that decode, so that nobody who
// reads along sees it stall: a step with them takes at most `max_stall` times as long as without.
// Learns from the times of past steps, since what a row costs depends on the model, the machine,
// the length of contexts and who else uses the processor.
//
// No clock of its own: whoever runs steps tells how long they took. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace fathom {

class PromptPacer {
 public:
  explicit PromptPacer(double max_stall);

  // For the next step, with this many sequences that decode. Now and then 0, to learn how long a
  // step without prompts takes; without bound if nobody decodes.
  int64_t rows(int64_t decoding);
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
  static double average(double old, double now);

  double max_stall_;
  std::array<DecodeTime, 64> decode_{};
  double prompt_row_seconds_ = 0;  // beyond the decode step; 0: never measured
};

}  // namespace fathom
