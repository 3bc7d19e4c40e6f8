#include "evaluate/temperature.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "evaluate/distribution.h"
#include "evaluate/statistics.h"

namespace fathom {
namespace {

// Few tokens stand at the first positions. Each octave's temperature is fitted as if it had so many
// more, of all positions, so that it differs from the common one only as far as its own say so.
constexpr double kCommonTokens = 256;

// log(sum(exp(beta * logits))).
double log_partition(std::span<const float> logits, double beta) {
  const auto largest = static_cast<double>(*std::ranges::max_element(logits));
  double sum = 0;
  for (const float logit : logits) sum += std::exp(beta * (static_cast<double>(logit) - largest));
  return beta * largest + std::log(sum);
}

// The mean of q under the distribution of p; a token that p excludes does not count.
double expectation(std::span<const float> p, std::span<const float> q) {
  const double partition = log_sum_exp(p);
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double probability = std::exp(static_cast<double>(p[i]) - partition);
    if (probability > 0) sum += probability * static_cast<double>(q[i]);
  }
  return sum;
}

// What is measured at one temperature.
struct Meter {
  StoredTemperature temperature = {};
  Mean nll = {};
  Mean kl = {};
  CalibrationError error = {};

  void add(int64_t position, std::span<const float> logits, size_t next,
           std::span<const float> reference) {
    const double beta = 1 / temperature.at(position);
    const double partition = log_partition(logits, beta);
    nll.add(partition - beta * static_cast<double>(logits[next]));
    const auto best = static_cast<size_t>(most_likely(logits));
    error.add(std::exp(beta * static_cast<double>(logits[best]) - partition), best == next);
    if (reference.empty()) return;
    // Sum of p log p, less that of p log q.
    kl.add(expectation(reference, reference) - log_sum_exp(reference) -
           (beta * expectation(reference, logits) - partition));
  }
  CalibrationMeasure result() const {
    return {.nll = nll.mean(), .kl = kl.mean(), .calibration_error = error.value()};
  }
};

// Calls on_token(position, model's logits, next token, reference's logits or nothing) for each
// scored token.
template <class OnToken>
Status read_window(Session& session, Session* reference, size_t vocab,
                   const std::vector<int32_t>& tokens, const Window& window,
                   const OnToken& on_token) {
  const std::vector<int32_t> input(tokens.begin() + window.begin, tokens.begin() + window.end);
  const int64_t first = window.scored - 1 - window.begin;
  const auto last = static_cast<int64_t>(input.size()) - 1;  // predicts beyond the window
  std::vector<float> expected;
  if (reference != nullptr) {
    expected.reserve(static_cast<size_t>(last - first) * vocab);
    FATHOM_CHECK(reference->each_logits(input, first, [&](int64_t position, const float* row) {
      if (position < last) expected.insert(expected.end(), row, row + vocab);
    }));
  }
  return session.each_logits(input, first, [&](int64_t position, const float* row) {
    if (position == last) return;
    const auto at = static_cast<size_t>(position - first) * vocab;
    on_token(position, std::span(row, vocab),
             static_cast<size_t>(input[static_cast<size_t>(position) + 1]),
             expected.empty() ? std::span<const float>() : std::span(expected).subspan(at, vocab));
  });
}

}  // namespace

TemperatureFit::TemperatureFit() {
  const double range = std::log(kMost / kLeast) / 2;
  const double middle = -std::log(kMost * kLeast) / 2;
  for (int i = 0; i < kPoints; ++i) {
    log_betas_[static_cast<size_t>(i)] =
        middle + range * std::cos(std::numbers::pi * i / (kPoints - 1));
  }
}

void TemperatureFit::add(std::span<const float> logits, double expected) {
  for (size_t i = 0; i < log_betas_.size(); ++i) {
    sums_[i] += log_partition(logits, std::exp(log_betas_[i]));
  }
  expected_ += expected;
  ++tokens_;
}

void TemperatureFit::add(const TemperatureFit& other, double weight) {
  for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += weight * other.sums_[i];
  expected_ += weight * other.expected_;
  tokens_ += weight * other.tokens_;
}

// Barycentric interpolation at Chebyshev's points of the second kind (Berrut and Trefethen 2004).
double TemperatureFit::loss(double log_beta) const {
  double above = 0;
  double below = 0;
  for (size_t i = 0; i < log_betas_.size(); ++i) {
    const double distance = log_beta - log_betas_[i];
    if (std::abs(distance) < 1e-14) {
      above = sums_[i];
      below = 1;
      break;
    }
    double weight = i % 2 == 0 ? 1 : -1;
    if (i == 0 || i + 1 == log_betas_.size()) weight /= 2;
    above += weight / distance * sums_[i];
    below += weight / distance;
  }
  return (above / below - std::exp(log_beta) * expected_) / tokens_;
}

// The loss is convex in 1 / T, so that it has one valley in log(1 / T) too: golden section.
Result<double> TemperatureFit::best() const {
  if (tokens_ == 0) return fail("There is no token to fit a temperature to.");
  const double ratio = (std::sqrt(5.0) - 1) / 2;
  double low = -std::log(kMost);
  double high = -std::log(kLeast);
  while (high - low > 1e-9) {
    const double a = high - ratio * (high - low);
    const double b = low + ratio * (high - low);
    (loss(a) < loss(b) ? high : low) = loss(a) < loss(b) ? b : a;
  }
  const double temperature = std::exp(-(low + high) / 2);
  if (!std::isfinite(loss(low)) || temperature < kLeast * 1.001 || temperature > kMost / 1.001) {
    return fail(
        "No temperature from {} to {} brings the model closest: what is wrong with it is no "
        "temperature.",
        kLeast, kMost);
  }
  return temperature;
}

void CalibrationError::add(double probability, bool right) {
  const auto bin = static_cast<size_t>(std::clamp(probability * kBins, 0.0, kBins - 1.0));
  ++bins_[bin].count;
  bins_[bin].right += right ? 1 : 0;
  bins_[bin].probability += probability;
}

double CalibrationError::value() const {
  int64_t count = 0;
  double sum = 0;
  for (const Bin& bin : bins_) {
    count += bin.count;
    sum += std::abs(static_cast<double>(bin.right) - bin.probability);
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

Result<TemperatureResult> fit_temperature(const Model& model, const Model* reference,
                                          const std::vector<int32_t>& tokens,
                                          const Windowing& windowing, const OnRead& on_read,
                                          bool per_position) {
  const auto vocab = static_cast<size_t>(model.info().vocab_size);
  if (reference != nullptr && reference->info().vocab_size != model.info().vocab_size) {
    return fail("{} has a vocabulary of {} tokens and the reference {} one of {}.",
                model.info().name, model.info().vocab_size, reference->info().name,
                reference->info().vocab_size);
  }
  FATHOM_TRY(const auto windows, cut_windows(static_cast<int64_t>(tokens.size()), windowing));
  if (windows.size() < 2) {
    return fail(
        "The text has {} tokens: two windows of {} are needed, one to fit the temperature on and "
        "one to measure what it does. Take a longer text or a smaller --context.",
        tokens.size(), windowing.context);
  }
  Session session(model, windowing.context);
  std::optional<Session> other;
  if (reference != nullptr) other.emplace(*reference, windowing.context);
  int64_t read = 0;
  // Every other window, from the first or from the second on.
  const auto each = [&](size_t from, const auto& on_token) -> Status {
    for (size_t i = from; i < windows.size(); i += 2) {
      FATHOM_CHECK(
          read_window(session, other ? &*other : nullptr, vocab, tokens, windows[i], on_token));
      read += windows[i].end - windows[i].begin;
      if (on_read && !on_read(read)) return fail("Interrupted after {} tokens.", read);
    }
    return {};
  };
  std::vector<TemperatureFit> octaves(
      static_cast<size_t>(StoredTemperature::octave(windowing.context) + 1));
  FATHOM_CHECK(each(0, [&](int64_t position, std::span<const float> logits, size_t next,
                           std::span<const float> expected) {
    octaves[static_cast<size_t>(StoredTemperature::octave(position))].add(
        logits,
        expected.empty() ? static_cast<double>(logits[next]) : expectation(expected, logits));
  }));
  TemperatureFit all;
  for (const TemperatureFit& octave : octaves) all.add(octave, 1);
  TemperatureResult result;
  FATHOM_TRY(result.temperature.value, all.best());
  const StoredTemperature everywhere = result.temperature;
  if (per_position) {
    while (octaves.back().tokens() == 0) octaves.pop_back();
    result.temperature.bias.reserve(octaves.size());
    for (TemperatureFit& octave : octaves) {
      octave.add(all, kCommonTokens / static_cast<double>(all.tokens()));
      FATHOM_TRY(const double own, octave.best());
      result.temperature.bias.push_back(static_cast<float>(std::log(own / everywhere.value)));
    }
  }
  Meter before;
  Meter same{.temperature = everywhere};
  Meter after{.temperature = result.temperature};
  FATHOM_CHECK(each(1, [&](int64_t position, std::span<const float> logits, size_t next,
                           std::span<const float> expected) {
    before.add(position, logits, next, expected);
    same.add(position, logits, next, expected);
    if (per_position) after.add(position, logits, next, expected);
  }));
  result.before = before.result();
  result.everywhere = same.result();
  result.after = per_position ? after.result() : result.everywhere;
  result.fitted_tokens = all.tokens();
  result.measured_tokens = before.nll.count();
  return result;
}

}  // namespace fathom
