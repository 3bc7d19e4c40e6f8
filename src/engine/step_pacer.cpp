#include "engine/step_pacer.h"

#include <algorithm>
#include <cmath>

namespace fathom {

namespace {

// A bare decode step among so many steps with prompts keeps its estimate fresh and costs prompts
// next to nothing.
constexpr int64_t kMeasureEvery = 128;
constexpr double kNewShare = 0.25;
// Of the mean step time that admission looks at: an answer's worth of steps, nearly.
constexpr double kNewStepShare = 0.05;
// The first guess, and the least: a prompt must come in however slow its rows are.
constexpr int64_t kFirstRows = 8;
constexpr int64_t kLeastRows = 1;
// Where the rows of prompts read experts that nobody else needs, a step may take so many times what
// it may elsewhere.
constexpr double kMostOverStall = 2;

}  // namespace

double stall_of(const StepPace& pace, const WeightReads& reads, double decoding) {
  const double stall = std::max(pace.max_stall, 1.0);
  return stall * std::min(1 / reads.of(decoding), kMostOverStall);
}

StepPacer::StepPacer(const StepPace& pace, const WeightReads& reads) : pace_(pace), reads_(reads) {
  pace_.max_stall = std::max(pace_.max_stall, 1.0);
}

// Four ranges for each power of two.
size_t StepPacer::range_of(int64_t decoding) {
  const double power = std::log2(static_cast<double>(std::max<int64_t>(decoding, 1)));
  return std::min(static_cast<size_t>(std::lround(4 * power)),
                  std::tuple_size_v<decltype(decode_)> - 1);
}

// A step that was held up by something else counts as twice the usual at most.
double StepPacer::average(double old, double now, double share) {
  return old == 0 ? now : old + share * (std::min(now, 2 * old) - old);
}

StepLimits StepPacer::limits(int64_t decoding, int64_t incoming) {
  StepLimits limits;
  if (decoding == 0) return limits;
  limits.prompt_rows = prompt_rows(decoding, incoming);
  if (pace_.target_seconds > 0 && step_seconds_ > pace_.target_seconds) {
    limits.running = kAlwaysTogether;
  }
  return limits;
}

int64_t StepPacer::prompt_rows(int64_t decoding, int64_t incoming) const {
  const DecodeTime& time = decode_[range_of(decoding)];
  if (time.seconds == 0 || time.steps_since >= kMeasureEvery) return 0;
  if (prompt_row_seconds_ == 0) return kFirstRows;
  const auto prompts = static_cast<double>(std::max<int64_t>(incoming, 1));
  const double stall = stall_of(pace_, reads_, static_cast<double>(decoding));
  const double one = stall * time.seconds;
  const double all = (1 + (stall - 1) * prompts) * time.seconds;
  const double allowed = std::max(one, std::min(all, pace_.target_seconds));
  const double rows = (kMargin * allowed - time.seconds) / prompt_row_seconds_;
  return std::max(static_cast<int64_t>(std::min(rows, 1e6)), kLeastRows);
}

void StepPacer::observe(int64_t decoding, int64_t prompt_rows, double seconds) {
  if (decoding == 0) {
    // Rows among hundreds of others of their prompt cost less than few beside answers do.
    if (prompt_rows == 0 || measured_beside_) return;
    prompt_row_seconds_ =
        average(prompt_row_seconds_, seconds / static_cast<double>(prompt_rows), kNewShare);
    return;
  }
  step_seconds_ = average(step_seconds_, seconds, kNewStepShare);
  DecodeTime& time = decode_[range_of(decoding)];
  if (prompt_rows == 0) {
    time.seconds = average(time.seconds, seconds, kNewShare);
    time.steps_since = 0;
    return;
  }
  ++time.steps_since;
  if (time.seconds == 0) return;
  // Rows of prompts share the reading of weights with the others, and may seem to cost nothing.
  const double beyond = std::max(seconds - time.seconds, 0.05 * time.seconds);
  measured_beside_ = true;
  prompt_row_seconds_ =
      average(prompt_row_seconds_, beyond / static_cast<double>(prompt_rows), kNewShare);
}

double StepPacer::decode_step_seconds(int64_t decoding) const {
  return decode_[range_of(decoding)].seconds;
}

}  // namespace fathom
