#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/assert.h"
#include "engine/softmax.h"

namespace fathom {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

uint64_t fresh_seed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

// [0, 1) from the top 53 bits. The standard's own distribution differs between libraries.
double uniform(std::mt19937_64& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

// The first of the best tokens; 0 if no logit is a number above -infinity.
int32_t most_likely(std::span<const float> logits) {
  // Many running maxima, of which compilers make vectors. NaN is never larger.
  std::array<float, 64> best;
  best.fill(kNever);
  size_t i = 0;
  for (; i + best.size() <= logits.size(); i += best.size()) {
    const float* block = logits.data() + i;
    for (size_t j = 0; j < best.size(); ++j) best[j] = block[j] > best[j] ? block[j] : best[j];
  }
  for (; i < logits.size(); ++i) best[0] = logits[i] > best[0] ? logits[i] : best[0];
  const float logit = *std::max_element(best.begin(), best.end());
  if (logit == kNever) return 0;
  return static_cast<int32_t>(std::find(logits.begin(), logits.end(), logit) - logits.begin());
}

}  // namespace

Status validate(const SamplingOptions& options) {
  // Written so that NaN fails.
  if (!(options.temperature >= 0.0F) || std::isinf(options.temperature)) {
    return usage_error("temperature is {}; it must be 0 (the most likely token) or more",
                       options.temperature);
  }
  if (options.top_k < 0) {
    return usage_error("top-k is {}; it must be 1 or more, or 0 for all tokens", options.top_k);
  }
  if (!(options.top_p > 0.0F && options.top_p <= 1.0F)) {
    return usage_error("top-p is {}; it must be above 0 and at most 1 (all tokens)", options.top_p);
  }
  if (!(options.min_p >= 0.0F && options.min_p <= 1.0F)) {
    return usage_error("min-p is {}; it must be between 0 (all tokens) and 1", options.min_p);
  }
  if (!(options.repeat_penalty > 0.0F) || std::isinf(options.repeat_penalty)) {
    return usage_error("repeat-penalty is {}; it must be above 0, and 1 is none",
                       options.repeat_penalty);
  }
  if (!std::isfinite(options.presence_penalty)) {
    return usage_error("presence-penalty is {}; it must be a finite number",
                       options.presence_penalty);
  }
  if (!std::isfinite(options.frequency_penalty)) {
    return usage_error("frequency-penalty is {}; it must be a finite number",
                       options.frequency_penalty);
  }
  for (const LogitBias& bias : options.logit_bias) {
    // -infinity forbids a token.
    if (std::isnan(bias.bias) || bias.bias == std::numeric_limits<float>::infinity()) {
      return usage_error("logit-bias of token {} is {}; it must be a number or -infinity",
                         bias.token, bias.bias);
    }
  }
  if (options.penalty_window < -1) {
    return usage_error("the penalty window is {}; it must be 0 or more tokens, or -1 for all",
                       options.penalty_window);
  }
  return {};
}

Sampler::Sampler(const SamplingOptions& options, std::span<const int32_t> prompt)
    : options_(options), seed_(options.seed ? *options.seed : fresh_seed()), random_(seed_) {
  FATHOM_ASSERT(validate(options).has_value());
  if (!repeats_matter()) return;
  const auto window = static_cast<size_t>(std::max(options.penalty_window, 0));
  if (window > 0) prompt = prompt.last(std::min(window, prompt.size()));
  prompt_.assign(prompt.begin(), prompt.end());
  window_.assign(window, -1);
}

bool Sampler::repeats_matter() const {
  return options_.repeat_penalty != 1.0F && options_.penalty_window != 0;
}

bool Sampler::penalties_matter() const {
  return repeats_matter() || !options_.logit_bias.empty() || options_.presence_penalty != 0.0F ||
         options_.frequency_penalty != 0.0F;
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const uint32_t> allowed) {
  choose_candidates(logits, allowed);
  const int32_t token = options_.temperature == 0.0F ? candidates_.front().token : draw();
  say(token);
  return token;
}

std::span<const TokenProbability> Sampler::distribution(std::span<const float> logits) {
  choose_candidates(logits, {});
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  distribution_.clear();
  for (const Candidate& candidate : candidates_) {
    distribution_.push_back({candidate.token, candidate.weight / total});
  }
  return distribution_;
}

double Sampler::uniform() {
  return fathom::uniform(random_);
}

void Sampler::say(int32_t token) {
  if (penalties_matter()) see(token, true);
}

// Fills candidates_ with the tokens that may be drawn and their weights.
void Sampler::choose_candidates(std::span<const float> logits, std::span<const uint32_t> allowed) {
  FATHOM_ASSERT(!logits.empty());
  if (penalties_matter()) {
    prepare(logits.size());
    logits = penalize(logits);
  }
  if (!allowed.empty()) logits = forbid(logits, allowed);
  if (options_.temperature == 0.0F) {
    const int32_t best = most_likely(logits);
    candidates_.assign(1, {best, logits[static_cast<size_t>(best)], 1.0});
    return;
  }
  select_candidates(logits);
  weigh_candidates();
  cut_candidates();
  if (candidates_.empty()) candidates_.assign(1, {0, kNever, 1.0});
}

void Sampler::prepare(size_t vocab) {
  if (vocab <= uses_.size()) return;
  uses_.resize(vocab);
  seen_.reserve(vocab);
  penalized_.resize(vocab);
  for (const int32_t token : prompt_) see(token, false);
  prompt_.clear();
}

void Sampler::see(int32_t token, bool in_answer) {
  const auto known = [this](int32_t t) { return t >= 0 && static_cast<size_t>(t) < uses_.size(); };
  if (!window_.empty()) {
    const int32_t oldest = std::exchange(window_[window_next_], token);
    window_next_ = (window_next_ + 1) % window_.size();
    if (known(oldest)) --uses_[static_cast<size_t>(oldest)].in_window;
  }
  if (!known(token)) return;
  Uses& uses = uses_[static_cast<size_t>(token)];
  // A token that has left the window stays in seen_, where its zeros do nothing.
  if (!std::exchange(uses.in_seen, true)) seen_.push_back(token);
  ++uses.in_window;
  if (in_answer) ++uses.in_answer;
}

std::span<const float> Sampler::penalize(std::span<const float> logits) {
  std::copy(logits.begin(), logits.end(), penalized_.begin());
  for (const LogitBias& bias : options_.logit_bias) {
    const auto token = static_cast<size_t>(bias.token);
    if (bias.token >= 0 && token < logits.size()) penalized_[token] += bias.bias;
  }
  for (const int32_t token : seen_) {
    if (static_cast<size_t>(token) >= logits.size()) continue;
    const Uses& uses = uses_[static_cast<size_t>(token)];
    float& logit = penalized_[static_cast<size_t>(token)];
    if (repeats_matter() && uses.in_window > 0) {
      logit = logit > 0.0F ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
    }
    if (uses.in_answer > 0) {
      logit -= options_.presence_penalty +
               options_.frequency_penalty * static_cast<float>(uses.in_answer);
    }
  }
  return std::span<const float>(penalized_).first(logits.size());
}

// The best token is the first of those allowed if none of them has a logit above -infinity.
std::span<const float> Sampler::forbid(std::span<const float> logits,
                                       std::span<const uint32_t> allowed) {
  allowed_.resize(logits.size());
  bool possible = false;
  size_t first = logits.size();
  for (size_t begin = 0; begin < logits.size(); begin += 32) {
    const size_t end = std::min(begin + 32, logits.size());
    const uint32_t bits = begin / 32 < allowed.size() ? allowed[begin / 32] : 0;
    const auto at = [](auto& values, size_t i) {
      return values.begin() + static_cast<std::ptrdiff_t>(i);
    };
    if (bits == 0) {
      std::fill(at(allowed_, begin), at(allowed_, end), kNever);
      continue;
    }
    for (size_t i = begin; i < end; ++i) {
      const bool may = (bits >> (i - begin) & 1U) != 0;
      allowed_[i] = may ? logits[i] : kNever;
      if (may && first == logits.size()) first = i;
      possible = possible || allowed_[i] > kNever;
    }
  }
  if (!possible && first < logits.size()) allowed_[first] = 0;
  return std::span<const float>(allowed_).first(logits.size());
}

// The best first; equal logits by token, so that the order is the same with every library.
constexpr auto kBetter = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
};

// Fills candidates_ with the top_k best tokens, best first, or, in order of their ids, with all
// that top-p and min-p may keep.
void Sampler::select_candidates(std::span<const float> logits) {
  candidates_.clear();
  total_weight_ = 0;
  const auto top_k = static_cast<size_t>(options_.top_k);
  if (top_k == 0 || top_k >= logits.size()) return select_from_all(logits);

  // Room for as many again as are kept, so that a selection pays for many rejected tokens.
  const size_t room = std::min(logits.size(), 2 * top_k + 64);
  candidates_.reserve(room);
  float threshold = kNever;
  for (size_t i = find_above(logits, 0, threshold); i < logits.size();
       i = find_above(logits, i + 1, threshold)) {
    candidates_.push_back({static_cast<int32_t>(i), logits[i], 0.0});
    if (candidates_.size() < room) continue;
    const auto kth = candidates_.begin() + static_cast<std::ptrdiff_t>(top_k - 1);
    std::nth_element(candidates_.begin(), kth, candidates_.end(), kBetter);
    // Later tokens with this logit rank behind those kept.
    threshold = kth->logit;
    candidates_.resize(top_k);
  }
  const auto kept = static_cast<std::ptrdiff_t>(std::min(top_k, candidates_.size()));
  std::partial_sort(candidates_.begin(), candidates_.begin() + kept, candidates_.end(), kBetter);
  candidates_.resize(static_cast<size_t>(kept));
  considered_ = candidates_.size();
}

// The weights of all tokens in single precision tell which of them are worth a double.
void Sampler::select_from_all(std::span<const float> logits) {
  considered_ = logits.size();
  const float best = logits[static_cast<size_t>(most_likely(logits))];
  const float scale = 1.0F / options_.temperature;
  float threshold = kNever;
  std::span<const float> values = logits;
  if (std::isfinite(best) && std::isfinite(scale) &&
      (options_.top_p < 1.0F || options_.min_p > 0.0F)) {
    weights_.resize(logits.size());
    total_weight_ = exponentiate(logits, best, scale, weights_);
    values = weights_;
    threshold = static_cast<float>(least_weight() * 0.9999);
  } else {
    candidates_.reserve(logits.size());
  }
  for (size_t i = find_above(values, 0, threshold); i < values.size();
       i = find_above(values, i + 1, threshold)) {
    candidates_.push_back({static_cast<int32_t>(i), logits[i], 0.0});
  }
}

void Sampler::weigh_candidates() {
  float best = kNever;
  for (const auto& candidate : candidates_) best = std::max(best, candidate.logit);
  const double temperature = options_.temperature;
  double total = 0;
  for (auto& candidate : candidates_) {
    // The test keeps infinity minus infinity out.
    candidate.weight =
        candidate.logit == best
            ? 1.0
            : std::exp((static_cast<double>(candidate.logit) - static_cast<double>(best)) /
                       temperature);
    total += candidate.weight;
  }
  // Known already where candidates are not all that count.
  if (total_weight_ == 0) total_weight_ = total;
}

// The least that a token kept by top-p and min-p can weigh.
double Sampler::least_weight() const {
  const auto floor = static_cast<double>(options_.min_p);
  if (options_.top_p == 1.0F) return floor;
  // Even if all tokens were below this, together they would be less than what top-p leaves out.
  const double left_out = (1.0 - static_cast<double>(options_.top_p)) * total_weight_;
  return std::max(floor, left_out / static_cast<double>(considered_));
}

// Applies top-p and min-p. Both keep a beginning of the sorted candidates, top-p's measured against
// all of them; so min-p may go first, and top-p then has few left to sort.
void Sampler::cut_candidates() {
  const bool top_p = options_.top_p < 1.0F;
  const double floor = least_weight();
  if (floor > 0.0) {
    std::erase_if(candidates_, [floor](const Candidate& c) { return c.weight < floor; });
  }
  if (!top_p) return;
  const double wanted = static_cast<double>(options_.top_p) * total_weight_;
  double weight = 0;
  size_t sorted = 0;
  for (size_t step = 64; sorted < candidates_.size(); step *= 4) {
    const size_t end = std::min(candidates_.size(), sorted + step);
    const auto at = [this](size_t i) {
      return candidates_.begin() + static_cast<std::ptrdiff_t>(i);
    };
    std::nth_element(at(sorted), at(end - 1), candidates_.end(), kBetter);
    std::sort(at(sorted), at(end), kBetter);
    for (; sorted < end; ++sorted) {
      weight += candidates_[sorted].weight;
      if (weight >= wanted) {
        candidates_.resize(sorted + 1);
        return;
      }
    }
  }
}

int32_t Sampler::draw() {
  double total = 0;
  for (const auto& candidate : candidates_) total += candidate.weight;
  const double target = uniform() * total;
  double weight = 0;
  for (const auto& candidate : candidates_) {
    weight += candidate.weight;
    if (target < weight) return candidate.token;
  }
  return candidates_.back().token;
}

}  // namespace fathom
