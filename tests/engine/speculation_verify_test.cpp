// That what is said with a draft is distributed exactly as without: three tokens in a row, tens of
// thousands of times, against the probabilities of the model and the sampler, by the chi-square
// test. A test statistic proves something only if it can fail, so wrong ways to accept drafts go
// through the same test.
#include "engine/speculation/verify.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "engine/speculation/draft_model.h"
#include "fathom/fathom.h"

namespace fathom {
namespace {

constexpr int kTokens = 3;  // compared in each trial
constexpr int kTrials = 40000;

using Said = std::vector<int32_t>;

// Logits of a tiny model after the prompt and a few further tokens, computed once each.
class Rows {
 public:
  explicit Rows(const std::string& name)
      : model_(*Model::load(FATHOM_TEST_DATA "/golden/models/" + name)), session_(model_) {}

  const std::vector<float>& after(const Said& said) {
    auto [at, missing] = rows_.try_emplace(said);
    if (missing) {
      std::vector<int32_t> tokens = prompt();
      tokens.insert(tokens.end(), said.begin(), said.end());
      at->second = session_.logits(tokens)->front();
    }
    return at->second;
  }

  static const std::vector<int32_t>& prompt() {
    static const std::vector<int32_t> tokens = {5, 17, 42, 17, 8};
    return tokens;
  }

 private:
  Model model_;
  Session session_;
  std::map<Said, std::vector<float>> rows_;
};

SamplingOptions plain_options(uint64_t seed) {
  return {.temperature = 1.2F, .top_k = 6, .top_p = 1.0F, .min_p = 0.0F, .seed = seed};
}

SamplingOptions busy_options(uint64_t seed) {
  return {.temperature = 1.5F,
          .top_k = 8,
          .top_p = 0.95F,
          .min_p = 0.02F,
          .repeat_penalty = 1.3F,
          .presence_penalty = 0.4F,
          .frequency_penalty = 0.3F,
          .penalty_window = 4,
          .seed = seed,
          .logit_bias = {{12, 1.5F}, {40, -2.0F}}};
}

using Options = SamplingOptions (*)(uint64_t seed);

// The probability of each way to go on.
std::map<Said, double> exact_distribution(Rows& target, Options options) {
  std::map<Said, double> result;
  const auto walk = [&](const auto& self, const Said& said, double probability) -> void {
    if (said.size() == kTokens) {
      result[said] = probability;
      return;
    }
    Sampler sampler(options(1), Rows::prompt());
    for (const int32_t token : said) {
      sampler.distribution(target.after({}));  // makes room for the vocabulary
      sampler.say(token);
    }
    const auto next = sampler.distribution(target.after(said));
    for (const auto& [token, share] : std::vector(next.begin(), next.end())) {
      Said longer = said;
      longer.push_back(token);
      self(self, longer, probability * share);
    }
  };
  walk(walk, {}, 1.0);
  return result;
}

// Sum of (observed - expected)^2 / expected, less its mean, in standard deviations (Wilson and
// Hilferty's approximation). Rare outcomes are counted as one.
double chi_square_deviation(const std::map<Said, double>& exact,
                            const std::map<Said, int64_t>& counts) {
  double statistic = 0;
  double rare_expected = 0;
  double rare_observed = 0;
  int classes = 0;
  int64_t known = 0;
  const auto add = [&](double observed, double expected) {
    statistic += (observed - expected) * (observed - expected) / expected;
    ++classes;
  };
  for (const auto& [said, probability] : exact) {
    const auto found = counts.find(said);
    const int64_t count = found == counts.end() ? 0 : found->second;
    known += count;
    const double expected = probability * kTrials;
    if (expected < 8) {
      rare_expected += expected;
      rare_observed += static_cast<double>(count);
    } else {
      add(static_cast<double>(count), expected);
    }
  }
  EXPECT_EQ(known, kTrials) << "tokens that the sampler never draws";
  if (rare_expected > 0) add(rare_observed, std::max(rare_expected, 1.0));
  EXPECT_GT(classes, 30);
  const double freedom = classes - 1;
  const double spread = 2 / (9 * freedom);
  return (std::cbrt(statistic / freedom) - (1 - spread)) / std::sqrt(spread);
}

// One chance in some millions for a correct sampler; a biased one is beyond hundreds.
constexpr double kLimit = 5;

using Verify = int64_t (*)(std::span<const float>, const Draft&, Sampler&, std::vector<int32_t>&);
enum class Drafting { kNone, kByChance, kMostLikely };

struct Outcome {
  std::map<Said, int64_t> counts;
  int64_t drafted = 0;
  int64_t accepted = 0;
};

Outcome simulate(Rows& target, Rows& drafting, Options options, Drafting kind, Verify check) {
  Outcome outcome;
  for (int trial = 0; trial < kTrials; ++trial) {
    const SamplingOptions sampling = options(static_cast<uint64_t>(trial) + 1);
    Sampler sampler(sampling, Rows::prompt());
    Sampler guess(draft_sampling(sampling), {});
    Said said;
    while (said.size() < kTokens) {
      // Drafts of 0, 1 and 2 tokens.
      const size_t length = kind == Drafting::kNone ? 0 : static_cast<size_t>(trial) % kTokens;
      Draft draft;
      Said guessed = said;
      while (draft.tokens.size() < length && guessed.size() < kTokens) {
        const auto& row = drafting.after(guessed);
        if (kind == Drafting::kByChance) {
          const auto q = guess.distribution(row);
          draft.distributions.emplace_back(q.begin(), q.end());
          draft.tokens.push_back(guess.sample(row));
        } else {
          draft.tokens.push_back(
              static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
        }
        guessed.push_back(draft.tokens.back());
      }
      std::vector<float> logits;
      for (size_t i = 0; i <= draft.tokens.size(); ++i) {
        Said before = said;
        before.insert(before.end(), draft.tokens.begin(),
                      draft.tokens.begin() + static_cast<std::ptrdiff_t>(i));
        const auto& row = target.after(before);
        logits.insert(logits.end(), row.begin(), row.end());
      }
      outcome.drafted += draft.size();
      outcome.accepted += check(logits, draft, sampler, said);
    }
    said.resize(kTokens);
    ++outcome.counts[said];
  }
  return outcome;
}

struct Models {
  Rows target{"llama_gqa_tied"};
  Rows draft{"qwen3"};
};

Models& models() {
  static Models instance;
  return instance;
}

double deviation(Options options, Drafting kind, Verify check = &verify) {
  Models& m = models();
  // The target's own best token, or what another model draws.
  Rows& drafting = kind == Drafting::kMostLikely ? m.target : m.draft;
  const Outcome outcome = simulate(m.target, drafting, options, kind, check);
  if (kind != Drafting::kNone && check == &verify) {
    // Neither all nor nothing, or the test would prove little.
    EXPECT_GT(outcome.accepted, outcome.drafted / 50);
    EXPECT_LT(outcome.accepted, outcome.drafted * 49 / 50);
  }
  return chi_square_deviation(exact_distribution(m.target, options), outcome.counts);
}

TEST(Verify, WithoutADraftDrawsWhatTheSamplerDraws) {
  EXPECT_LT(deviation(plain_options, Drafting::kNone), kLimit);
  EXPECT_LT(deviation(busy_options, Drafting::kNone), kLimit);
}

TEST(Verify, KeepsTheDistributionWithDraftsDrawnByChance) {
  EXPECT_LT(deviation(plain_options, Drafting::kByChance), kLimit);
}

TEST(Verify, KeepsTheDistributionUnderPenaltiesBiasesAndCuts) {
  EXPECT_LT(deviation(busy_options, Drafting::kByChance), kLimit);
}

TEST(Verify, KeepsTheDistributionWithDraftsWithoutChance) {
  EXPECT_LT(deviation(plain_options, Drafting::kMostLikely), kLimit);
  EXPECT_LT(deviation(busy_options, Drafting::kMostLikely), kLimit);
}

double share(std::span<const TokenProbability> distribution, int32_t token) {
  for (const auto& entry : distribution) {
    if (entry.token == token) return entry.probability;
  }
  return 0;
}

// After a rejection, draws from p instead of from what p has more than q.
int64_t redraw_from_all(std::span<const float> logits, const Draft& draft, Sampler& sampler,
                        std::vector<int32_t>& said) {
  const size_t vocab = logits.size() / (draft.tokens.size() + 1);
  for (size_t i = 0; i < draft.tokens.size(); ++i) {
    const auto row = logits.subspan(i * vocab, vocab);
    const int32_t token = draft.tokens[i];
    const double p = share(sampler.distribution(row), token);
    if (sampler.uniform() * share(draft.distributions[i], token) >= p) {
      said.push_back(sampler.sample(row));
      return static_cast<int64_t>(i);
    }
    sampler.say(token);
    said.push_back(token);
  }
  said.push_back(sampler.sample(logits.last(vocab)));
  return draft.size();
}

// Accepts whatever the sampler could have drawn at all.
int64_t accept_the_possible(std::span<const float> logits, const Draft& draft, Sampler& sampler,
                            std::vector<int32_t>& said) {
  const size_t vocab = logits.size() / (draft.tokens.size() + 1);
  for (size_t i = 0; i < draft.tokens.size(); ++i) {
    const auto row = logits.subspan(i * vocab, vocab);
    if (share(sampler.distribution(row), draft.tokens[i]) == 0) {
      said.push_back(sampler.sample(row));
      return static_cast<int64_t>(i);
    }
    sampler.say(draft.tokens[i]);
    said.push_back(draft.tokens[i]);
  }
  said.push_back(sampler.sample(logits.last(vocab)));
  return draft.size();
}

TEST(Verify, IsTestedByAStatisticThatSeesWrongAcceptance) {
  EXPECT_GT(deviation(plain_options, Drafting::kByChance, &redraw_from_all), 3 * kLimit);
  EXPECT_GT(deviation(plain_options, Drafting::kByChance, &accept_the_possible), 3 * kLimit);
  EXPECT_GT(deviation(plain_options, Drafting::kMostLikely, &accept_the_possible), 3 * kLimit);
}

TEST(Verify, CountsTheAcceptedBeginningAndAddsOneToken) {
  constexpr size_t kVocab = 4;
  const auto row_for = [](size_t token) {
    std::array<float, kVocab> row{};
    row[token] = 5;
    return row;
  };
  std::vector<float> logits;
  for (const size_t token : {2, 0, 3, 1}) {
    const auto row = row_for(token);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  const SamplingOptions greedy = {.temperature = 0.0F, .seed = {}};
  std::vector<int32_t> said = {9};
  Sampler sampler(greedy, {});
  EXPECT_EQ(verify(logits, {{2, 0, 1}, {}}, sampler, said), 2);
  EXPECT_EQ(said, (std::vector<int32_t>{9, 2, 0, 3}));
  said.clear();
  EXPECT_EQ(verify(logits, {{2, 0, 3}, {}}, sampler, said), 3);
  EXPECT_EQ(said, (std::vector<int32_t>{2, 0, 3, 1}));
  said.clear();
  EXPECT_EQ(verify(logits, {{1, 0, 3}, {}}, sampler, said), 0);
  EXPECT_EQ(said, (std::vector<int32_t>{2}));
}

}  // namespace
}  // namespace fathom
