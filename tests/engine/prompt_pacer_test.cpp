#include "engine/prompt_pacer.h"

#include <gtest/gtest.h>

namespace fathom {
namespace {

// A machine whose steps take exactly this long.
struct Machine {
  double step = 0.002;
  double decode_row = 0.001;
  double prompt_row = 0.0005;
  double seconds(int64_t decoding, int64_t rows) const {
    return step + decode_row * static_cast<double>(decoding) +
           prompt_row * static_cast<double>(rows);
  }
};

TEST(PromptPacer, FindsTheRowsThatFitIntoTheStall) {
  for (const int64_t decoding : {1, 16, 200}) {
    for (const double prompt_row : {0.0001, 0.0005, 0.001}) {
      const Machine machine{.prompt_row = prompt_row};
      PromptPacer pacer(2.0);
      double worst = 0;
      int64_t prompt_rows = 0;
      for (int step = 0; step < 200; ++step) {
        const int64_t rows = pacer.rows(decoding);
        const double seconds = machine.seconds(decoding, rows);
        pacer.observe(decoding, rows, seconds);
        if (step >= 20) worst = std::max(worst, seconds / machine.seconds(decoding, 0));
        if (step >= 20) prompt_rows += rows;
      }
      EXPECT_LE(worst, 2.0);
      // And uses most of it.
      const double average = static_cast<double>(prompt_rows) / 180 * prompt_row;
      EXPECT_GT(average, 0.5 * machine.seconds(decoding, 0)) << decoding << " " << prompt_row;
    }
  }
}

TEST(PromptPacer, FollowsAMachineThatBecomesSlower) {
  Machine machine;
  PromptPacer pacer(2.0);
  for (int step = 0; step < 1000; ++step) {
    if (step == 500) machine.prompt_row *= 4;
    const int64_t rows = pacer.rows(8);
    pacer.observe(8, rows, machine.seconds(8, rows));
    if (step >= 520) {
      EXPECT_LE(machine.seconds(8, rows), 2.0 * machine.seconds(8, 0));
    }
  }
}

TEST(PromptPacer, HasNoBoundWhenNobodyDecodes) {
  PromptPacer pacer(2.0);
  EXPECT_GT(pacer.rows(0), 1 << 20);
}

TEST(PromptPacer, LetsAPromptComeInHoweverSlowItIs) {
  PromptPacer pacer(1.0);
  pacer.observe(4, 0, 0.001);
  pacer.observe(4, 8, 10.0);
  EXPECT_GT(pacer.rows(4), 0);
}

}  // namespace
}  // namespace fathom
