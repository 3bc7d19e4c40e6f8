// Decides how much to guess for each of many sequences that decode together. A guess is one more
// row of their step; what rows cost depends on how many there are: while few are computed the
// weights are read anyway and further rows cost little, in a large batch each costs its share.
//
// A step of n sequences with g guesses costs c(n + g) seconds. c is measured at the sizes that
// occur, between them interpolated. A guess that follows j others of its sequence is accepted with
// probability a^(j+1), a being the sequence's own rate, which begins as that of all. Guesses are
// taken in the order of their probability as long as expected tokens a second grow; so a batch in
// which they do not pay gets none, and one in which they pay for some sequences guesses for those
// (the goodput of Liu et al. 2024, "Optimizing Speculative Decoding for Serving Large Language
// Models"). Time lost by guessing, against plain steps for the same tokens, is paid from a budget
// as in draft_policy.h, whatever the estimates say.
//
// Knows no clock: times are passed in. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace fathom {

// How often guesses for one sequence were right.
class AcceptanceRate {
 public:
  void record(int64_t drafted, int64_t accepted);
  // prior: of what to take for granted as long as little was seen.
  double estimate(double prior) const;
  double tries() const { return tries_; }

 private:
  double hits_ = 0;  // fading
  double tries_ = 0;
};

class BatchDraftPolicy {
 public:
  static constexpr int64_t kMostRows = 64;  // guesses in a step

  BatchDraftPolicy();

  struct Choice {
    const AcceptanceRate* rate = nullptr;  // of the sequence
    int64_t most = 0;                      // guesses that it may get
    int64_t length = 0;                    // that it gets: choose() says
  };
  // decoding: sequences in the next step, those among them that have a choice.
  void choose(int64_t decoding, std::span<Choice> choices);

  struct Step {
    int64_t decoding = 0;
    int64_t drafted = 0;
    int64_t said = 0;  // tokens of the sequences that decoded
    double draft_seconds = 0;
    double step_seconds = 0;   // the model's, with drawing
    bool has_prompts = false;  // then its time says nothing about guesses
  };
  void record(const Step& step);
  // Of one sequence's guesses: what `record` of its rate was told.
  void judge(int64_t drafted, int64_t accepted) { all_.record(drafted, accepted); }

  double step_seconds(int64_t rows) const;  // the estimate; 0: nothing is known

 private:
  // Steps of about so many rows: four ranges for each power of two.
  struct Cost {
    double rows = 0;
    double seconds = 0;
    int64_t count = 0;
    int64_t since_plain = 0;  // steps with guesses, of this many sequences, since one without
  };
  struct Pick {
    double probability = 0;
    size_t choice = 0;
  };
  static size_t range_of(int64_t rows);
  static bool less_likely(const Pick& a, const Pick& b);
  int64_t most_rows(int64_t decoding) const;
  int64_t rank(int64_t decoding, std::span<const Choice> choices);
  void attempt(std::span<Choice> choices);

  std::array<Cost, 64> costs_{};
  double draft_seconds_ = 0;  // of one guess, without its row
  int64_t drafts_ = 0;
  AcceptanceRate all_;
  double budget_ = 0;  // seconds that may be lost
  bool has_budget_ = false;
  bool pays_ = false;        // as chosen last
  int64_t since_draft_;      // plain steps
  int64_t pause_;            // plain steps between two attempts while guessing does not pay
  std::vector<Pick> heap_;   // scratch
  std::vector<Pick> order_;  // guesses, the likeliest first
};

}  // namespace fathom
