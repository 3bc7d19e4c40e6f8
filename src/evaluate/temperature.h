// One temperature for a model (Guo et al. 2017, "On Calibration of Modern Neural Networks"): the
// number that its logits are divided by so that its distribution is closest to a reference model's
// (KL(reference || model), least mean) or, without a reference, to the text (negative
// log-likelihood, least mean). Quantisation flattens or sharpens a distribution; this undoes the
// part of it that is the same everywhere. It changes no order: the most likely token stays. Where
// it is asked for, the temperature also gets a bias by how much has been read
// (checkpoint/stored_temperature.h).
//
// It is fitted on every other window of the text and measured on those between, so that the gain
// shown is one on text that the fit has not seen.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "checkpoint/stored_temperature.h"
#include "evaluate/perplexity.h"
#include "evaluate/windows.h"
#include "fathom/fathom.h"

namespace fathom {

// The mean loss as a function of the temperature, kept as a polynomial: what it needs of a token is
// log(sum(exp(logits / T))) at Chebyshev's points of [kLeast, kMost] and one number beside it.
class TemperatureFit {
 public:
  static constexpr double kLeast = 0.5;
  static constexpr double kMost = 2;
  static constexpr int kPoints = 13;

  TemperatureFit();
  // expected: the mean of the logits under the distribution to come close to, which for a text is
  // the next token's logit.
  void add(std::span<const float> logits, double expected);
  // What another was given, as if each of its tokens were `weight` tokens.
  void add(const TemperatureFit& other, double weight);
  int64_t tokens() const { return static_cast<int64_t>(tokens_); }
  // Fails where the best lies at an end of the range, or no token was added.
  Result<double> best() const;

 private:
  double loss(double log_beta) const;  // less a constant

  std::array<double, kPoints> log_betas_;  // log(1 / T)
  std::array<double, kPoints> sums_{};     // of log(sum(exp(beta * logits)))
  double expected_ = 0;                    // sum
  double tokens_ = 0;
};

// Share of the times that a model is right which it is not sure of, or the other way round: the
// mean over kBins equal bins of its most likely token's probability, weighted by how many tokens
// are in each, of |share that is right - mean probability|.
class CalibrationError {
 public:
  static constexpr int kBins = 15;

  void add(double probability, bool right);
  double value() const;

 private:
  struct Bin {
    int64_t count = 0;
    int64_t right = 0;
    double probability = 0;  // sum
  };
  std::array<Bin, kBins> bins_{};
};

struct CalibrationMeasure {
  double nll = 0;                // of the text, nats a token
  double kl = 0;                 // KL(reference || model); 0 without a reference
  double calibration_error = 0;  // of the most likely token
};

struct TemperatureResult {
  StoredTemperature temperature = {};
  CalibrationMeasure before;      // at temperature 1
  CalibrationMeasure everywhere;  // the same temperature at all positions
  CalibrationMeasure after;       // with the bias too, where there is one
  int64_t fitted_tokens = 0;
  int64_t measured_tokens = 0;  // others
};

// The model must answer as its weights say (engine/calibration.h). reference: may be null; of the
// same vocabulary. per_position: with a bias. Fails where the text has fewer than two windows with
// something to score.
Result<TemperatureResult> fit_temperature(const Model& model, const Model* reference,
                                          const std::vector<int32_t>& tokens,
                                          const Windowing& windowing, const OnRead& on_read = {},
                                          bool per_position = false);

}  // namespace fathom
