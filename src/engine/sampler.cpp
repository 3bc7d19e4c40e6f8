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

Sampler::Scratch& Sampler::scratch_of_thread() {
  thread_local Scratch scratch;
  return scratch;
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const uint32_t> allowed) {
  Scratch& scratch = scratch_of_thread();
  choose_candidates(logits, allowed, scratch);
  const std::vector<Candidate>& candidates = scratch.candidates;
  const int32_t token = options_.temperature == 0.0F ? candidates.front().token : draw(candidates);
  say(token);
  return token;
}

std::span<const TokenProbability> Sampler::distribution(std::span<const float> logits) {
  Scratch& scratch = scratch_of_thread();
  choose_candidates(logits, {}, scratch);
  double total = 0;
  for (const Candidate& candidate : scratch.candidates) total += candidate.weight;
  distribution_.clear();
  for (const Candidate& candidate : scratch.candidates) {
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

// Fills scratch.candidates with the tokens that may be drawn and their weights.
void Sampler::choose_candidates(std::span<const float> logits, std::span<const uint32_t> allowed,
                                Scratch& scratch) {
  FATHOM_ASSERT(!logits.empty());
  if (penalties_matter()) {
    prepare(logits.size());
    logits = penalize(logits, scratch);
  }
  if (!allowed.empty()) logits = forbid(logits, allowed, scratch);
  if (options_.temperature == 0.0F) {
    const int32_t best = most_likely(logits);
    scratch.candidates.assign(1, {best, logits[static_cast<size_t>(best)], 1.0});
    return;
  }
  select_candidates(logits, scratch);
  weigh(scratch.candidates);
  cut(scratch.candidates);
  if (scratch.candidates.empty()) scratch.candidates.assign(1, {0, kNever, 1.0});
}

void Sampler::prepare(size_t vocab) {
  if (vocab <= uses_.size()) return;
  uses_.resize(vocab);
  seen_.reserve(vocab);
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

std::span<const float> Sampler::penalize(std::span<const float> logits, Scratch& scratch) const {
  std::vector<float>& penalized = scratch.penalized;
  penalized.assign(logits.begin(), logits.end());
  for (const LogitBias& bias : options_.logit_bias) {
    const auto token = static_cast<size_t>(bias.token);
    if (bias.token >= 0 && token < logits.size()) penalized[token] += bias.bias;
  }
  for (const int32_t token : seen_) {
    if (static_cast<size_t>(token) >= logits.size()) continue;
    const Uses& uses = uses_[static_cast<size_t>(token)];
    float& logit = penalized[static_cast<size_t>(token)];
    if (repeats_matter() && uses.in_window > 0) {
      logit = logit > 0.0F ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
    }
    if (uses.in_answer > 0) {
      logit -= options_.presence_penalty +
               options_.frequency_penalty * static_cast<float>(uses.in_answer);
    }
  }
  return penalized;
}

// The best token is the first of those allowed if none of them has a logit above -infinity.
std::span<const float> Sampler::forbid(std::span<const float> logits,
                                       std::span<const uint32_t> allowed, Scratch& scratch) {
  std::vector<float>& kept = scratch.allowed;
  kept.resize(logits.size());
  bool possible = false;
  size_t first = logits.size();
  for (size_t begin = 0; begin < logits.size(); begin += 32) {
    const size_t end = std::min(begin + 32, logits.size());
    const uint32_t bits = begin / 32 < allowed.size() ? allowed[begin / 32] : 0;
    const auto at = [](auto& values, size_t i) {
      return values.begin() + static_cast<std::ptrdiff_t>(i);
    };
    if (bits == 0) {
      std::fill(at(kept, begin), at(kept, end), kNever);
      continue;
    }
    for (size_t i = begin; i < end; ++i) {
      const bool may = (bits >> (i - begin) & 1U) != 0;
      kept[i] = may ? logits[i] : kNever;
      if (may && first == logits.size()) first = i;
      possible = possible || kept[i] > kNever;
    }
  }
  if (!possible && first < logits.size()) kept[first] = 0;
  return kept;
}

// The best first; equal logits by token, so that the order is the same with every library.
constexpr auto kBetter = [](const auto& a, const auto& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
};

// Fills scratch.candidates with the top_k best tokens, best first, or, in order of their ids, with
// all that top-p and min-p may keep.
void Sampler::select_candidates(std::span<const float> logits, Scratch& scratch) {
  std::vector<Candidate>& candidates = scratch.candidates;
  candidates.clear();
  total_weight_ = 0;
  const auto top_k = static_cast<size_t>(options_.top_k);
  if (top_k == 0 || top_k >= logits.size()) return select_from_all(logits, scratch);

  // Room for as many again as are kept, so that a selection pays for many rejected tokens.
  const size_t room = std::min(logits.size(), 2 * top_k + 64);
  candidates.reserve(room);
  float threshold = kNever;
  for (size_t i = find_above(logits, 0, threshold); i < logits.size();
       i = find_above(logits, i + 1, threshold)) {
    candidates.push_back({static_cast<int32_t>(i), logits[i], 0.0});
    if (candidates.size() < room) continue;
    const auto kth = candidates.begin() + static_cast<std::ptrdiff_t>(top_k - 1);
    std::nth_element(candidates.begin(), kth, candidates.end(), kBetter);
    // Later tokens with this logit rank behind those kept.
    threshold = kth->logit;
    candidates.resize(top_k);
  }
  const auto kept = static_cast<std::ptrdiff_t>(std::min(top_k, candidates.size()));
  std::partial_sort(candidates.begin(), candidates.begin() + kept, candidates.end(), kBetter);
  candidates.resize(static_cast<size_t>(kept));
  considered_ = candidates.size();
}

// The weights of all tokens in single precision tell which of them are worth a double.
void Sampler::select_from_all(std::span<const float> logits, Scratch& scratch) {
  considered_ = logits.size();
  const float best = logits[static_cast<size_t>(most_likely(logits))];
  const float scale = 1.0F / options_.temperature;
  float threshold = kNever;
  std::span<const float> values = logits;
  if (std::isfinite(best) && std::isfinite(scale) &&
      (options_.top_p < 1.0F || options_.min_p > 0.0F)) {
    scratch.weights.resize(logits.size());
    total_weight_ = exponentiate(logits, best, scale, scratch.weights);
    values = scratch.weights;
    threshold = static_cast<float>(least_weight() * 0.9999);
  } else {
    scratch.candidates.reserve(logits.size());
  }
  for (size_t i = find_above(values, 0, threshold); i < values.size();
       i = find_above(values, i + 1, threshold)) {
    scratch.candidates.push_back({static_cast<int32_t>(i), logits[i], 0.0});
  }
}

void Sampler::weigh(std::span<Candidate> candidates) {
  float best = kNever;
  for (const auto& candidate : candidates) best = std::max(best, candidate.logit);
  const double temperature = options_.temperature;
  double total = 0;
  for (auto& candidate : candidates) {
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
void Sampler::cut(std::vector<Candidate>& candidates) const {
  const bool top_p = options_.top_p < 1.0F;
  const double floor = least_weight();
  if (floor > 0.0) {
    std::erase_if(candidates, [floor](const Candidate& c) { return c.weight < floor; });
  }
  if (!top_p) return;
  const double wanted = static_cast<double>(options_.top_p) * total_weight_;
  double weight = 0;
  size_t sorted = 0;
  for (size_t step = 64; sorted < candidates.size(); step *= 4) {
    const size_t end = std::min(candidates.size(), sorted + step);
    const auto at = [&candidates](size_t i) {
      return candidates.begin() + static_cast<std::ptrdiff_t>(i);
    };
    std::nth_element(at(sorted), at(end - 1), candidates.end(), kBetter);
    std::sort(at(sorted), at(end), kBetter);
    for (; sorted < end; ++sorted) {
      weight += candidates[sorted].weight;
      if (weight >= wanted) {
        candidates.resize(sorted + 1);
        return;
      }
    }
  }
}

int32_t Sampler::draw(std::span<const Candidate> candidates) {
  double total = 0;
  for (const auto& candidate : candidates) total += candidate.weight;
  const double target = uniform() * total;
  double weight = 0;
  for (const auto& candidate : candidates) {
    weight += candidate.weight;
    if (target < weight) return candidate.token;
  }
  return candidates.back().token;
}

}  // namespace fathom
