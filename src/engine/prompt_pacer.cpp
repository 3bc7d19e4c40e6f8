#include "engine/prompt_pacer.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fathom {

namespace {

// A bare decode step among so many steps with prompts keeps its estimate fresh and costs prompts
// next to nothing.
constexpr int64_t kMeasureEvery = 128;
// Estimates are averages and steps scatter around them.
constexpr double kMargin = 0.85;
constexpr double kNewShare = 0.25;
// The first guess, and the least: a prompt must come in however slow its rows are.
constexpr int64_t kFirstRows = 8;
constexpr int64_t kLeastRows = 2;

}  // namespace

PromptPacer::PromptPacer(double max_stall) : max_stall_(std::max(max_stall, 1.0)) {}

// Four ranges for each power of two.
size_t PromptPacer::range_of(int64_t decoding) {
  const double range = 4 * std::log2(static_cast<double>(std::max<int64_t>(decoding, 1)));
  return std::min(static_cast<size_t>(range + 0.5), std::tuple_size_v<decltype(decode_)> - 1);
}

// A step that was held up by something else counts as twice the usual at most.
double PromptPacer::average(double old, double now) {
  return old == 0 ? now : old + kNewShare * (std::min(now, 2 * old) - old);
}

int64_t PromptPacer::rows(int64_t decoding) {
  if (decoding == 0) return std::numeric_limits<int64_t>::max();
  const DecodeTime& time = decode_[range_of(decoding)];
  if (time.seconds == 0 || time.steps_since >= kMeasureEvery) return 0;
  if (prompt_row_seconds_ == 0) return kFirstRows;
  const double spare = (max_stall_ * kMargin - 1) * time.seconds;
  const double rows = std::min(spare / prompt_row_seconds_, 1e6);
  return std::max(static_cast<int64_t>(rows), kLeastRows);
}

void PromptPacer::observe(int64_t decoding, int64_t prompt_rows, double seconds) {
  if (decoding == 0) {
    if (prompt_rows == 0) return;
    prompt_row_seconds_ = average(prompt_row_seconds_, seconds / static_cast<double>(prompt_rows));
    return;
  }
  DecodeTime& time = decode_[range_of(decoding)];
  if (prompt_rows == 0) {
    time.seconds = average(time.seconds, seconds);
    time.steps_since = 0;
    return;
  }
  ++time.steps_since;
  if (time.seconds == 0) return;
  // Rows of prompts share the reading of weights with the others, and may seem to cost nothing.
  const double beyond = std::max(seconds - time.seconds, 0.05 * time.seconds);
  prompt_row_seconds_ = average(prompt_row_seconds_, beyond / static_cast<double>(prompt_rows));
}

double PromptPacer::decode_step_seconds(int64_t decoding) const {
  return decode_[range_of(decoding)].seconds;
}

}  // namespace fathom
