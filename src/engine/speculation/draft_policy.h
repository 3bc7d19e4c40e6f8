// Decides how many tokens to draft, from what drafting has cost and brought so far, so that it is
// done where it pays and costs little where it does not.
//
// A step that checks k drafted tokens costs c(k) seconds and gives 1 + a + ... + a^k tokens, if
// each is accepted with probability a (Leviathan et al. 2023, section 3.1). c is measured, between
// measured lengths interpolated; a is a mean that forgets. The best k is the one with the most
// tokens a second, which may be none. As a guard against being wrong, time lost by drafting
// (against plain steps for the same tokens) is paid from a budget: kAllowance of the time of plain
// steps and what drafting has won lately. An empty budget means plain steps, whatever the estimates
// say.
//
// Knows no clock: times are passed in. One sequence, one thread.
#pragma once

#include <array>
#include <cstdint>

namespace fathom {

class DraftPolicy {
 public:
  static constexpr int64_t kMostTokens = 16;

  // most: never more than this, at most kMostTokens.
  explicit DraftPolicy(int64_t most);

  // How many tokens to draft for the next step: 0 to most.
  int64_t next() const;

  struct Step {
    int64_t drafted = 0;
    int64_t accepted = 0;
    double draft_seconds = 0;
    double step_seconds = 0;  // the model's, with drawing
  };
  void record(const Step& step);

 private:
  // Share of the time of plain steps that may be lost to drafting.
  static constexpr double kAllowance = 0.015;

  struct Mean {
    double value = 0;
    int64_t count = 0;
    void add(double sample);
  };

  double verify_cost(int64_t drafted) const;
  double step_cost(int64_t drafted) const;
  double tokens_of(int64_t drafted) const;
  int64_t best_length() const;

  int64_t most_;
  std::array<Mean, kMostTokens + 1> verify_seconds_{};  // by tokens drafted
  Mean draft_seconds_;                                  // of one drafted token
  double hits_;                                         // drafted tokens accepted, fading
  double tries_;                                        // and looked at
  double budget_ = 0;                                   // seconds that may be lost
  int64_t since_plain_ = 0;                             // steps
  int64_t since_draft_ = 0;
  int64_t pause_;  // plain steps between two attempts while drafting does not pay
};

}  // namespace fathom
