#include "engine/step_pacer.h"

#include <gtest/gtest.h>

#include <algorithm>

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

TEST(StepPacer, FindsTheRowsThatFitIntoTheStall) {
  for (const int64_t decoding : {1, 16, 200}) {
    for (const double prompt_row : {0.0001, 0.0005, 0.001}) {
      const Machine machine{.prompt_row = prompt_row};
      StepPacer pacer({});
      double worst = 0;
      int64_t prompt_rows = 0;
      for (int step = 0; step < 200; ++step) {
        const int64_t rows = pacer.limits(decoding, 1).prompt_rows;
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

TEST(StepPacer, FollowsAMachineThatBecomesSlower) {
  Machine machine;
  StepPacer pacer({});
  for (int step = 0; step < 1000; ++step) {
    if (step == 500) machine.prompt_row *= 4;
    const int64_t rows = pacer.limits(8, 1).prompt_rows;
    pacer.observe(8, rows, machine.seconds(8, rows));
    if (step >= 520) {
      EXPECT_LE(machine.seconds(8, rows), 2.0 * machine.seconds(8, 0));
    }
  }
}

TEST(StepPacer, LetsManyPromptsFillAStepUpToItsTarget) {
  const Machine machine;
  StepPacer pacer({.target_seconds = 0.1});
  for (int step = 0; step < 200; ++step) {
    const int64_t rows = pacer.limits(8, 50).prompt_rows;
    const double seconds = machine.seconds(8, rows);
    pacer.observe(8, rows, seconds);
    EXPECT_LE(seconds, 0.1);
    if (step >= 20 && rows > 0) {
      EXPECT_GT(seconds, 0.07);
    }
  }
}

TEST(StepPacer, AdmitsNoMoreWhileStepsTakeLongerThanTheyShould) {
  const Machine machine;
  StepPacer pacer({.target_seconds = 0.1});
  // A closed loop: answers of 64 tokens, prompts of 50.
  double running = 1;
  double total = 0;
  for (int step = 0; step < 4000; ++step) {
    const auto decoding = static_cast<int64_t>(running);
    const StepLimits limits = pacer.limits(decoding, 1000);
    const int64_t rows = decoding < limits.running ? std::min<int64_t>(limits.prompt_rows, 512) : 0;
    const double seconds = machine.seconds(decoding, rows);
    pacer.observe(decoding, rows, seconds);
    running += static_cast<double>(rows) / 50 - running / 64;
    if (step >= 1000) total += seconds;
  }
  EXPECT_NEAR(total / 3000, 0.1, 0.01);
  EXPECT_GT(running, 50);
}

TEST(StepPacer, HasNoBoundWhenNobodyDecodes) {
  StepPacer pacer({});
  EXPECT_GT(pacer.limits(0, 3).prompt_rows, 1 << 20);
}

TEST(StepPacer, LetsAPromptComeInHoweverSlowItIs) {
  StepPacer pacer({.max_stall = 1.0});
  pacer.observe(4, 0, 0.001);
  pacer.observe(4, 8, 10.0);
  EXPECT_GT(pacer.limits(4, 1).prompt_rows, 0);
}

}  // namespace
}  // namespace fathom
