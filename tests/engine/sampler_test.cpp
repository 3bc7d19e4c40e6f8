#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

namespace fathom {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

SamplingOptions neutral() {
  return {.temperature = 1.0F,
          .top_k = 0,
          .top_p = 1.0F,
          .min_p = 0.0F,
          .repeat_penalty = 1.0F,
          .presence_penalty = 0.0F,
          .frequency_penalty = 0.0F,
          .penalty_window = -1,
          .seed = 1};
}

struct Golden {
  struct Case {
    std::string name;
    SamplingOptions options;
    std::vector<double> probabilities;
  };
  std::vector<int32_t> prompt;
  std::vector<int32_t> answer;
  std::vector<float> logits;
  std::vector<Case> cases;
};

// tests/golden/make_sampler_golden.py says where the probabilities come from.
const Golden& golden() {
  static const Golden result = [] {
    std::ifstream file(FATHOM_TEST_DATA "/golden/sampler.json");
    const auto json = nlohmann::json::parse(file);
    Golden g{json.at("prompt"), json.at("answer"), json.at("logits"), {}};
    for (const auto& c : json.at("cases")) {
      const auto& o = c.at("options");
      SamplingOptions options;
      options.temperature = o.at("temperature");
      options.top_k = o.at("top_k");
      options.top_p = o.at("top_p");
      options.min_p = o.at("min_p");
      options.repeat_penalty = o.at("repeat_penalty");
      options.presence_penalty = o.at("presence_penalty");
      options.frequency_penalty = o.at("frequency_penalty");
      options.penalty_window = o.at("penalty_window");
      g.cases.push_back({c.at("name"), options, c.at("probabilities")});
    }
    return g;
  }();
  return result;
}

// A sampler that has said `answer`: each token was the only possible one.
Sampler sampler_after(const SamplingOptions& options, std::span<const int32_t> prompt,
                      std::span<const int32_t> answer, size_t vocab) {
  Sampler sampler(options, prompt);
  for (const int32_t token : answer) {
    std::vector<float> only(vocab, -kInfinity);
    only[static_cast<size_t>(token)] = 0.0F;
    EXPECT_EQ(sampler.sample(only), token);
  }
  return sampler;
}

using Counts = std::vector<int64_t>;

// How often each token is the next one, over `draws` seeds.
Counts draw_counts(SamplingOptions options, int draws) {
  const Golden& g = golden();
  Counts counts(g.logits.size());
  for (int i = 0; i < draws; ++i) {
    options.seed = static_cast<uint64_t>(i);
    Sampler sampler = sampler_after(options, g.prompt, g.answer, g.logits.size());
    ++counts[static_cast<size_t>(sampler.sample(g.logits))];
  }
  return counts;
}

// Pearson's statistic in units of its standard deviation around its mean; infinite if a token of
// probability 0 was drawn. Cells with fewer than 5 expected draws are put together.
double chi_square_deviation(const Counts& counts, const std::vector<double>& probabilities) {
  const auto draws = static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  double statistic = 0;
  int cells = 0;
  double rest_expected = 0;
  double rest_seen = 0;
  const auto add = [&](double seen, double expected) {
    statistic += (seen - expected) * (seen - expected) / expected;
    ++cells;
  };
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = probabilities[i] * draws;
    const auto seen = static_cast<double>(counts[i]);
    if (probabilities[i] == 0.0 && counts[i] > 0) return kInfinity;
    if (expected >= 5) {
      add(seen, expected);
    } else {
      rest_expected += expected;
      rest_seen += seen;
    }
  }
  if (rest_expected >= 1) add(rest_seen, rest_expected);
  const double freedom = cells - 1;
  return freedom > 0 ? (statistic - freedom) / std::sqrt(2 * freedom) : 0;
}

constexpr int kDraws = 20000;

TEST(Sampler, DrawsEachTokenWithTheProbabilityThatTransformersGivesIt) {
  for (const auto& c : golden().cases) {
    const Counts counts = draw_counts(c.options, kDraws);
    EXPECT_LT(chi_square_deviation(counts, c.probabilities), 4.0) << c.name;
  }
}

TEST(Sampler, NoParameterIsIgnored) {
  // Were the parameter ignored, its case's draws would follow the neutral distribution.
  const auto& plain = golden().cases.front();
  ASSERT_EQ(plain.name, "neutral");
  for (const auto& c : golden().cases) {
    if (&c == &plain) continue;
    const Counts counts = draw_counts(c.options, kDraws);
    EXPECT_GT(chi_square_deviation(counts, plain.probabilities), 20.0) << c.name;
  }
}

TEST(Sampler, ThePenaltyWindowIsNotIgnored) {
  std::map<std::string, const Golden::Case*> cases;
  for (const auto& c : golden().cases) cases[c.name] = &c;
  const auto& all = *cases.at("repeat_penalty");
  for (const auto* name :
       {"repeat_penalty in a window", "repeat_penalty in a window that reaches into the prompt"}) {
    const Counts counts = draw_counts(cases.at(name)->options, kDraws);
    EXPECT_GT(chi_square_deviation(counts, all.probabilities), 20.0) << name;
  }
}

TEST(Sampler, SuccessiveDrawsOfOneSamplerFollowTheDistribution) {
  const auto& plain = golden().cases.front();
  SamplingOptions options = plain.options;
  options.seed = 7;
  Sampler sampler(options, {});
  Counts counts(golden().logits.size());
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sampler.sample(golden().logits))];
  EXPECT_LT(chi_square_deviation(counts, plain.probabilities), 4.0);
}

std::vector<int32_t> draws(Sampler sampler, int n) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < n; ++i) tokens.push_back(sampler.sample(golden().logits));
  return tokens;
}

TEST(Sampler, EqualSeedsGiveEqualTokensAndOthersDoNot) {
  SamplingOptions options = neutral();
  options.seed = 42;
  const auto first = draws(Sampler(options, {}), 50);
  EXPECT_EQ(draws(Sampler(options, {}), 50), first);
  options.seed = 43;
  EXPECT_NE(draws(Sampler(options, {}), 50), first);
}

TEST(Sampler, WithoutASeedEachAnswerIsNewAndItsSeedRepeatsIt) {
  SamplingOptions options = neutral();
  options.seed.reset();
  const Sampler first(options, {});
  const Sampler second(options, {});
  EXPECT_NE(first.seed(), second.seed());
  const auto tokens = draws(first, 50);
  EXPECT_NE(draws(second, 50), tokens);
  options.seed = first.seed();
  EXPECT_EQ(draws(Sampler(options, {}), 50), tokens);
}

TEST(Sampler, ASeedMeansTheSameTokensOnEveryMachine) {
  // mt19937_64's first outputs for seed 5489 begin 0xc96d191cf6f6aea6 (reference implementation,
  // Matsumoto and Nishimura 2004), which is 0.78682... of the whole range.
  SamplingOptions options = neutral();
  options.seed = 5489;
  std::vector<float> equal(100000, 0.0F);
  EXPECT_EQ(Sampler(options, {}).sample(equal), 78682);
}

TEST(Sampler, TemperatureZeroTakesTheMostLikelyTokenAfterPenalties) {
  SamplingOptions options = neutral();
  options.temperature = 0.0F;
  options.top_k = 1;
  const std::vector<float> logits = {1.0F, 3.0F, 2.9F, -1.0F};
  EXPECT_EQ(Sampler(options, {}).sample(logits), 1);

  const std::array<int32_t, 1> prompt = {1};
  options.repeat_penalty = 1.1F;
  EXPECT_EQ(Sampler(options, prompt).sample(logits), 2);
  options.repeat_penalty = 1.0F;

  options.presence_penalty = 0.2F;
  Sampler present(options, prompt);
  EXPECT_EQ(present.sample(logits), 1);  // of the prompt, which presence does not count
  EXPECT_EQ(present.sample(logits), 2);
  EXPECT_EQ(present.sample(logits), 1);
  options.presence_penalty = 0.0F;

  options.frequency_penalty = 1.5F;
  Sampler frequent(options, {});
  EXPECT_EQ(frequent.sample(logits), 1);  // 3.0, 2.9 and 1.0
  EXPECT_EQ(frequent.sample(logits), 2);  // 1.5, 2.9 and 1.0
  EXPECT_EQ(frequent.sample(logits), 1);  // 1.5, 1.4 and 1.0
  EXPECT_EQ(frequent.sample(logits), 2);  // 0.0, 1.4 and 1.0
  EXPECT_EQ(frequent.sample(logits), 0);  // 0.0, -0.1 and 1.0
}

TEST(Sampler, RepeatPenaltyForgetsWhatLeftTheWindow) {
  SamplingOptions options = neutral();
  options.temperature = 0.0F;
  options.repeat_penalty = 2.0F;
  options.penalty_window = 2;
  const std::vector<float> logits = {1.0F, 1.9F, 1.5F};
  const std::array<int32_t, 3> prompt = {2, 0, 0};
  Sampler sampler(options, prompt);
  EXPECT_EQ(sampler.sample(logits), 1);
  EXPECT_EQ(sampler.sample(logits), 2);
  EXPECT_EQ(sampler.sample(logits), 0);
  EXPECT_EQ(sampler.sample(logits), 1);
}

TEST(Sampler, TopKKeepsExactlyThatManyWhenLogitsAreEqual) {
  SamplingOptions options = neutral();
  options.top_k = 3;
  std::vector<float> logits(5000, 1.0F);
  logits[4000] = 2.0F;
  Sampler sampler(options, {});
  std::map<int32_t, int> counts;
  for (int i = 0; i < 500; ++i) ++counts[sampler.sample(logits)];
  EXPECT_EQ(counts.size(), 3U);
  EXPECT_TRUE(counts.contains(4000) && counts.contains(0) && counts.contains(1));
}

TEST(Sampler, TopKAndTopPFindTheBestTokensOfALargeVocabulary) {
  constexpr int32_t kVocab = 150000;
  // Likely tokens far apart and in no order; the rest is flat noise below.
  std::mt19937_64 random(3);
  std::vector<float> logits(kVocab);
  for (auto& logit : logits) logit = static_cast<float>(random() % 1000) / 1000.0F;
  std::vector<int32_t> best;
  for (int i = 0; i < 200; ++i) {
    best.push_back((i * 7919 + 13) % kVocab);
    logits[static_cast<size_t>(best.back())] = 30.0F - 0.01F * static_cast<float>(i);
  }
  const auto drawn = [&](const SamplingOptions& options) {
    Sampler sampler(options, {});
    std::map<int32_t, int> counts;
    for (int i = 0; i < 1500; ++i) ++counts[sampler.sample(logits)];
    return counts;
  };
  SamplingOptions options = neutral();
  options.top_k = 50;
  auto counts = drawn(options);
  EXPECT_EQ(counts.size(), 50U);
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(counts.contains(best[static_cast<size_t>(i)])) << i;

  // Weights 0.99^i: the first n hold (1 - 0.99^n) / (1 - 0.99^200) of them.
  options.top_k = 0;
  options.top_p = 0.5F;
  const auto kept = static_cast<size_t>(
      std::ceil(std::log(1 - 0.5 * (1 - std::exp(-2.0))) / std::log(std::exp(-0.01))));
  counts = drawn(options);
  EXPECT_EQ(counts.size(), kept);
  for (size_t i = 0; i < kept; ++i) EXPECT_TRUE(counts.contains(best[i])) << i;
}

TEST(Sampler, LogitsThatAreNoNumbersAreNeverDrawn) {
  SamplingOptions options = neutral();
  for (const float temperature : {0.0F, 1.0F}) {
    for (const int32_t top_k : {0, 1, 3}) {
      options.temperature = temperature;
      options.top_k = top_k;
      options.top_p = top_k == 3 ? 0.9F : 1.0F;
      Sampler sampler(options, {});
      for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(sampler.sample(std::vector<float>{kNan, -kInfinity, 1.0F, kNan, -kInfinity}), 2);
        EXPECT_EQ(sampler.sample(std::vector<float>{0.0F, kInfinity, 1.0F, kNan, -kInfinity}), 1);
      }
      EXPECT_EQ(sampler.sample(std::vector<float>(5, kNan)), 0);
      EXPECT_EQ(sampler.sample(std::vector<float>(5, -kInfinity)), 0);
    }
  }
}

TEST(Sampler, TokensOfThePromptOutsideTheVocabularyDoNoHarm) {
  SamplingOptions options = neutral();
  options.temperature = 0.0F;
  options.repeat_penalty = 4.0F;
  options.penalty_window = 3;
  const std::array<int32_t, 3> prompt = {-1, 99, std::numeric_limits<int32_t>::max()};
  Sampler sampler(options, prompt);
  const std::vector<float> logits = {1.0F, 2.0F};
  EXPECT_EQ(sampler.sample(logits), 1);
  EXPECT_EQ(sampler.sample(logits), 0);
  EXPECT_EQ(sampler.sample(logits), 1);
}

TEST(Sampler, ValidateNamesTheOptionThatMakesNoSense) {
  EXPECT_TRUE(validate(neutral()).has_value());
  EXPECT_TRUE(validate(SamplingOptions{}).has_value());
  struct Bad {
    const char* names;
    void (*spoil)(SamplingOptions&);
  };
  const Bad bad[] = {
      {"temperature", [](SamplingOptions& o) { o.temperature = -0.1F; }},
      {"temperature", [](SamplingOptions& o) { o.temperature = kNan; }},
      {"temperature", [](SamplingOptions& o) { o.temperature = kInfinity; }},
      {"top-k", [](SamplingOptions& o) { o.top_k = -1; }},
      {"top-p", [](SamplingOptions& o) { o.top_p = 0.0F; }},
      {"top-p", [](SamplingOptions& o) { o.top_p = 1.01F; }},
      {"top-p", [](SamplingOptions& o) { o.top_p = kNan; }},
      {"min-p", [](SamplingOptions& o) { o.min_p = -0.01F; }},
      {"min-p", [](SamplingOptions& o) { o.min_p = 1.01F; }},
      {"repeat-penalty", [](SamplingOptions& o) { o.repeat_penalty = 0.0F; }},
      {"repeat-penalty", [](SamplingOptions& o) { o.repeat_penalty = kInfinity; }},
      {"presence-penalty", [](SamplingOptions& o) { o.presence_penalty = kNan; }},
      {"frequency-penalty", [](SamplingOptions& o) { o.frequency_penalty = -kInfinity; }},
      {"penalty window", [](SamplingOptions& o) { o.penalty_window = -2; }},
  };
  for (const auto& b : bad) {
    SamplingOptions options = neutral();
    b.spoil(options);
    const Status status = validate(options);
    ASSERT_FALSE(status.has_value()) << b.names;
    EXPECT_EQ(status.error().kind, ErrorKind::kUsage);
    EXPECT_NE(status.error().message.find(b.names), std::string::npos) << status.error().message;
  }
}

TEST(Sampler, AddsBiasesBeforeItChooses) {
  SamplingOptions options = neutral();
  options.temperature = 0.0F;
  const std::vector<float> logits = {0.0F, 1.0F, 2.0F};
  options.logit_bias = {{.token = 0, .bias = 2.5F}};
  EXPECT_EQ(Sampler(options, {}).sample(logits), 0);
  options.logit_bias = {{.token = 2, .bias = -kInfinity}};
  EXPECT_EQ(Sampler(options, {}).sample(logits), 1);
  options.logit_bias = {{.token = 7, .bias = 100.0F}};
  EXPECT_EQ(Sampler(options, {}).sample(logits), 2);
}

TEST(Sampler, RejectsBiasesThatAreNoNumbers) {
  for (const float bias : {kNan, kInfinity}) {
    SamplingOptions options = neutral();
    options.logit_bias = {{.token = 3, .bias = bias}};
    ASSERT_FALSE(validate(options));
    EXPECT_NE(validate(options).error().message.find("token 3"), std::string::npos);
  }
}

TEST(Sampler, DrawsOnlyWhatIsAllowed) {
  // 70 tokens: the mask ends within a word. Tokens 3, 40 and 69 are allowed, none of the best.
  std::vector<float> logits(70);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 7);
  const std::vector<uint32_t> allowed = {1U << 3, 1U << (40 - 32), 1U << (69 - 64)};
  std::map<int32_t, int> drawn;
  for (const float temperature : {0.0F, 1.0F}) {
    for (const int32_t top_k : {0, 2, 40}) {
      SamplingOptions options = neutral();
      options.temperature = temperature;
      options.top_k = top_k;
      options.top_p = 0.99F;
      Sampler sampler(options, {});
      for (int i = 0; i < 100; ++i) ++drawn[sampler.sample(logits, allowed)];
    }
  }
  EXPECT_EQ(drawn.size(), 3U);
  EXPECT_EQ(drawn[3] + drawn[40] + drawn[69], 600);
  // Of those allowed, each is as likely as its logit says: 3, 5 and 6.
  EXPECT_LT(drawn[3], drawn[40]);
  EXPECT_LT(drawn[40], drawn[69]);
}

TEST(Sampler, DrawsAnAllowedTokenAlsoWhereNoneIsPossible) {
  const std::vector<float> logits = {1.0F, -kInfinity, -kInfinity, 2.0F};
  const std::vector<uint32_t> allowed = {0b0110};
  for (const float temperature : {0.0F, 1.0F}) {
    SamplingOptions options = neutral();
    options.temperature = temperature;
    EXPECT_EQ(Sampler(options, {}).sample(logits, allowed), 1);
  }
}

TEST(Sampler, PenalizesAmongWhatIsAllowed) {
  SamplingOptions options = neutral();
  options.temperature = 0;
  options.presence_penalty = 2;
  Sampler sampler(options, {});
  const std::vector<float> logits = {9.0F, 3.0F, 2.0F, 1.5F};
  const std::vector<uint32_t> allowed = {0b1110};
  EXPECT_EQ(sampler.sample(logits, allowed), 1);
  EXPECT_EQ(sampler.sample(logits, allowed), 2);
  EXPECT_EQ(sampler.sample(logits, allowed), 3);
}

}  // namespace
}  // namespace fathom
