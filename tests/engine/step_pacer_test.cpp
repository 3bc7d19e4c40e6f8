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

// Two cores with DeepSeek-V2-Lite: 0.10 s would read all of its experts, 8 ms compute a row.
struct MixtureMachine {
  WeightReads reads{.expert_share = 0.92, .experts = 64, .per_token = 6};
  double all_weights = 0.13;
  double row = 0.008;
  double mixed = 0;  // what a step costs besides if it has both kinds of rows
  double seconds(int64_t decoding, int64_t rows) const {
    const auto count = static_cast<double>(decoding + rows);
    return all_weights * reads.of(count) + row * count + (rows > 0 && decoding > 0 ? mixed : 0);
  }
};

struct Pace {
  double rows_per_second = 0;  // of prompts
  double stall = 0;            // the longest step over one without prompts
};
Pace pace_of(const MixtureMachine& machine, int64_t decoding, const WeightReads& known) {
  StepPacer pacer({}, known);
  // A prompt that came alone.
  pacer.observe(0, 256, machine.seconds(0, 256));
  Pace pace;
  double seconds = 0;
  int64_t prompt_rows = 0;
  for (int step = 0; step < 400; ++step) {
    const int64_t rows = std::min<int64_t>(pacer.limits(decoding, 1).prompt_rows, 512);
    const double took = machine.seconds(decoding, rows);
    pacer.observe(decoding, rows, took);
    if (step < 40) continue;
    pace.stall = std::max(pace.stall, took / machine.seconds(decoding, 0));
    seconds += took;
    prompt_rows += rows;
  }
  pace.rows_per_second = static_cast<double>(prompt_rows) / seconds;
  return pace;
}

TEST(StepPacer, LetsAPromptInBesideFewAnswersOfAMixtureOfExperts) {
  for (const double mixed : {0.0, 0.014}) {
    const MixtureMachine machine{.mixed = mixed};
    const double alone = 256 / machine.seconds(0, 256);
    for (const int64_t decoding : {1, 2, 4, 8}) {
      const Pace pace = pace_of(machine, decoding, machine.reads);
      EXPECT_GT(pace.rows_per_second, 0.2 * alone) << decoding << " " << mixed;
      EXPECT_LE(pace.stall, 4.0) << decoding << " " << mixed;
      // Which the bound of dense models would not allow.
      EXPECT_GT(pace.rows_per_second, 1.3 * pace_of(machine, decoding, {}).rows_per_second)
          << decoding << " " << mixed;
    }
  }
}

TEST(StepPacer, StallsManyAnswersOfAMixtureOfExpertsNoMoreThanThoseOfADenseModel) {
  const MixtureMachine machine;
  for (const int64_t decoding : {32, 64, 200}) {
    const Pace pace = pace_of(machine, decoding, machine.reads);
    EXPECT_LE(pace.stall, 2.1) << decoding;
    EXPECT_GT(pace.rows_per_second, 30) << decoding;
  }
}

TEST(StepPacer, DoesNotTakeRowsOfAPromptAloneForThoseBesideAnswers) {
  const MixtureMachine machine;
  StepPacer pacer({}, machine.reads);
  for (int step = 0; step < 60; ++step) {
    const int64_t rows = pacer.limits(1, 1).prompt_rows;
    pacer.observe(1, rows, machine.seconds(1, rows));
  }
  for (int step = 0; step < 20; ++step) pacer.observe(0, 512, machine.seconds(0, 512));
  const int64_t rows = pacer.limits(1, 1).prompt_rows;
  EXPECT_LE(machine.seconds(1, rows), 4 * machine.seconds(1, 0));
}

TEST(StepPacer, MeasuresAStallByWhatTheAnswersReadOfTheWeights) {
  EXPECT_DOUBLE_EQ(stall_of({.max_stall = 2}, {}, 1), 2);
  const WeightReads reads{.expert_share = 0.5, .experts = 4, .per_token = 1};
  // Half and an eighth are read: 1.6 times as much would be all.
  EXPECT_DOUBLE_EQ(stall_of({.max_stall = 2}, reads, 1), 3.2);
  EXPECT_NEAR(stall_of({.max_stall = 2}, reads, 100), 2, 1e-6);
  const WeightReads large{.expert_share = 0.95, .experts = 256, .per_token = 8};
  EXPECT_DOUBLE_EQ(stall_of({.max_stall = 1.5}, large, 1), 3);
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
