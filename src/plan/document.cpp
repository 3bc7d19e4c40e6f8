#include "plan/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "plan/cost.h"
#include "plan/deployment.h"

namespace fathom::plan {
namespace {

constexpr double kMillion = 1e6;
constexpr double kBreakEven = 1.5e6;  // requests, as claimed
constexpr double kPrompt = 512;       // tokens, where the document says nothing
constexpr double kContext = 1024;
constexpr int kMostTogether = 256;

// A real checkpoint on hardware of the catalogue.
class Setup {
 public:
  static Result<Setup> make(std::string_view model, std::string_view precision,
                            std::string_view hardware, int tp) {
    Deployment deployment;
    FATHOM_TRY(deployment.model, catalogue_facts(model, precision));
    FATHOM_TRY(deployment.hardware, find_hardware(hardware));
    deployment.tp = tp;
    deployment.ep = deployment.model.config.is_moe() ? tp : 1;
    return Setup(std::move(deployment));
  }

  double first_token_ms() const {
    return 1000 * timer_.time({.prompt_rows = kPrompt, .logits = 1}).seconds;
  }
  double step_ms(double rows) const {
    return 1000 *
           timer_.time({.decode_rows = rows, .decode_context = kContext, .logits = rows}).seconds;
  }
  double tokens_per_second(double rows) const { return 1000 * rows / step_ms(rows); }
  // Sequences that must be decoded together for so many tokens a second; 0: no number of them that
  // fits.
  int together_for(double speed) const {
    const double room = cache_tokens_that_fit(deployment_);
    for (int rows = 1; rows <= kMostTogether && rows * kContext <= room; ++rows) {
      if (tokens_per_second(rows) >= speed) return rows;
    }
    return 0;
  }
  std::string where() const {
    const std::string devices = deployment_.tp > 1 ? fmt::format("{} x ", deployment_.tp) : "";
    return fmt::format("{} ({}) on {}{}", deployment_.model.title, deployment_.model.precision,
                       devices, deployment_.hardware.name);
  }
  const Deployment& deployment() const { return deployment_; }
  bool fits() const { return cache_tokens_that_fit(deployment_) > 0; }

 private:
  explicit Setup(Deployment deployment) : deployment_(std::move(deployment)), timer_(deployment_) {}

  Deployment deployment_;
  StepTimer timer_;
};

// What was measured on two cores of a Zen 4, of files with random weights in these models' shapes.
constexpr std::string_view kLatencyOfV1 =
    "45 ms for each further token and 8 ms for each of a prompt: DeepSeek-V2-Lite's shape (q4_0) "
    "on two cores of a Zen 4 (docs/performance.md, 2026-11-28)";
constexpr std::string_view kLatencyOfLite =
    "127 ms for each further token and 25 ms for each of a prompt: DeepSeek-Coder-6.7B's shape "
    "(q4_0) on two cores of a Zen 4 (docs/performance.md, 2026-11-28)";
constexpr std::string_view kThroughputOfV1 =
    "22 tokens/s for one sequence, 58 for 16 together: DeepSeek-V2-Lite's shape (q4_0) on two "
    "cores of a Zen 4 (docs/performance.md, 2026-11-28)";
constexpr std::string_view kThroughputOfLite =
    "7.9 tokens/s for one sequence, 42 for 16 together: DeepSeek-Coder-6.7B's shape (q4_0) on two "
    "cores of a Zen 4 (docs/performance.md, 2026-11-28)";
constexpr std::string_view kBatching =
    "5.4 x of DeepSeek-Coder-6.7B's shape, 2.6 x of DeepSeek-V2-Lite's (q4_0) on two cores of a "
    "Zen 4 (docs/performance.md, 2026-11-28)";
constexpr std::string_view kSessions =
    "86 ms between tokens of 200 sessions, 767 tokens/s in all: SmolLM2-135M-Instruct on two cores "
    "of a Zen 4 (docs/performance.md, 2026-11-28)";
constexpr std::string_view kFourBits =
    "2.3 x for a token, 125 tokens/s to 286: SmolLM2-135M-Instruct in q4_0 instead of F16 on two "
    "cores of a Zen 4 (docs/quality.md, 2026-11-28)";
constexpr std::string_view kFileOfLite =
    "3.79 GB: a GGUF file in q4_0 of DeepSeek-Coder-6.7B's shape (bench/shape_files.py)";

Claim measured_as(Claim claim, std::string_view measured) {
  claim.measured = measured;
  return claim;
}

Claim latency(std::string subject, double claimed_ms, const Setup& setup) {
  const double first = setup.first_token_ms();
  const double step = setup.step_ms(1);
  Claim claim{
      .table = "latency",
      .subject = std::move(subject),
      .claimed = fmt::format("{:.0f} ms", claimed_ms),
      .predicted = fmt::format("{:.0f} ms to the first token of a prompt of {:.0f}, {:.1f} ms "
                               "for each further one: {}",
                               first, kPrompt, step, setup.where())};
  if (first <= claimed_ms) {
    claim.verdict = Verdict::kUnderCondition;
    claim.why = fmt::format(
        "it means the first token alone, of an idle server: an answer of 100 tokens "
        "takes {:.1f} s",
        (first + 99 * step) / 1000);
  } else if (step <= claimed_ms) {
    claim.verdict = Verdict::kUnderCondition;
    claim.why = "it means one further token, not the first one and not an answer";
  } else {
    claim.why = "not even one token comes in that time";
  }
  return claim;
}

Claim throughput(std::string subject, double claimed, const Setup& setup) {
  const int together = setup.together_for(claimed);
  const double alone = setup.tokens_per_second(1);
  Claim claim{
      .table = "throughput",
      .subject = std::move(subject),
      .claimed = fmt::format("{:.0f} tokens/s", claimed),
      .predicted = fmt::format("{:.0f} tokens/s for one sequence, {:.0f} for 16 together: {}",
                               alone, setup.tokens_per_second(16), setup.where())};
  if (together == 1) {
    claim.verdict = Verdict::kHolds;
    claim.why = "one sequence is enough";
  } else if (together > 1) {
    claim.verdict = Verdict::kUnderCondition;
    claim.why = fmt::format("at least {} sequences are decoded together", together);
  } else {
    claim.why = fmt::format("no batch that fits into its memory reaches it");
  }
  return claim;
}

Result<Claim> memory_of_v1() {
  FATHOM_TRY(const Setup setup, Setup::make("v3", "q4_0", "a100-80gb", 8));
  const ModelFacts& model = setup.deployment().model;
  const double all = static_cast<double>(model.weight_bytes);
  const double always = all - model.experts.bytes;
  const double chosen = model.experts.bytes *
                        static_cast<double>(model.config.moe.experts_per_token) /
                        static_cast<double>(model.config.moe.experts);
  const double active = always + chosen;
  Claim claim{
      .table = "memory",
      .subject = "V1",
      .claimed = "28.5 GB",
      .predicted = fmt::format("{:.0f} GB of weights, of which a token uses {:.1f} GB: {} ({})",
                               all / 1e9, active / 1e9, model.title, model.precision)};
  if (active <= 28.5e9) {
    claim.verdict = Verdict::kUnderCondition;
    claim.why = fmt::format(
        "the experts that are not chosen, {:.0f} GB, lie in the host's memory and "
        "are fetched when they are",
        (all - active) / 1e9);
  } else {
    claim.why = "even what one token uses is more";
  }
  return claim;
}

Result<Claim> memory_of_lite() {
  FATHOM_TRY(const Setup setup, Setup::make("coder-6.7b", "q4_0", "agx-orin-64gb", 1));
  const MemoryUse empty = memory_of(setup.deployment(), 0);
  const double token =
      static_cast<double>(setup.deployment().model.cache_bytes_per_token(CacheType::kF16));
  const double tokens = (6.3e9 - empty.total()) / token;
  Claim claim{
      .table = "memory",
      .subject = "Lite",
      .claimed = "6.3 GB",
      .predicted = fmt::format("{:.1f} GB of weights, {:.2f} MB of cache for each token: {}",
                               empty.weights / 1e9, token / 1e6, setup.where())};
  claim.verdict = tokens > 0 ? Verdict::kUnderCondition : Verdict::kDoesNotHold;
  claim.why = tokens > 0 ? fmt::format("all sequences together have at most {:.0f} tokens", tokens)
                         : "the weights and the program alone need more";
  return claim;
}

Result<Claim> file_of_lite() {
  FATHOM_TRY(const ModelFacts model, catalogue_facts("coder-6.7b", "q4_0"));
  const double bits = 3.2e9 * 8 / static_cast<double>(model.parameters);
  const double own =
      static_cast<double>(model.file_bytes) * 8 / static_cast<double>(model.parameters);
  Claim claim{
      .table = "memory",
      .subject = "Lite, INT4 file",
      .claimed = "3.2 GB",
      .predicted = fmt::format("{:.1f} GB: {} in q4_0, {:.2f} bits for each weight",
                               static_cast<double>(model.file_bytes) / 1e9, model.title, own),
      .measured = std::string(kFileOfLite)};
  claim.verdict = own <= bits ? Verdict::kHolds : Verdict::kDoesNotHold;
  claim.why =
      fmt::format("3.2 GB are {:.2f} bits for each weight, {} than four bits with their scales",
                  bits, own <= bits ? "no less" : "less");
  return claim;
}

Result<Claim> memory_of_pro() {
  constexpr double kParameters = 130e9;
  const double bits = 52.7e9 * 8 / kParameters;
  FATHOM_TRY(const ModelFacts model, catalogue_facts("vl2", "q4_0"));
  Claim claim{
      .table = "memory",
      .subject = "Pro",
      .claimed = "52.7 GB",
      .predicted = fmt::format("{:.0f} GB for 130 billion weights of 4.5 bits; no such checkpoint "
                               "was published. The largest, {}: {:.1f} GB",
                               kParameters * 4.5 / 8 / 1e9, model.title,
                               static_cast<double>(model.weight_bytes) / 1e9)};
  claim.why =
      fmt::format("52.7 GB are {:.1f} bits for each weight, with nothing left for a cache", bits);
  return claim;
}

Result<Claim> encoder_of_pro() {
  FATHOM_TRY(const ModelFacts model, catalogue_facts("vl2", "bf16"));
  const double share =
      model.extra_bytes / (model.extra_bytes + static_cast<double>(model.weight_bytes));
  return Claim{.table = "memory",
               .subject = "Pro, encoders' share",
               .claimed = "70%",
               .predicted = fmt::format("{:.0f}%: {} in bf16", 100 * share, model.title),
               .verdict = share >= 0.6 ? Verdict::kHolds : Verdict::kDoesNotHold,
               .why = share >= 0.6 ? "as claimed" : "the language model is by far the larger part"};
}

Result<Claim> parallel_on_one_card() {
  FATHOM_TRY(const Setup large, Setup::make("v3", "q4_0", "a100-80gb", 1));
  FATHOM_TRY(const Setup small, Setup::make("v2-lite", "q4_0", "a100-80gb", 1));
  const double room = cache_tokens_that_fit(small.deployment());
  Claim claim{.table = "serving",
              .subject = "V1, 128 at once on one A100",
              .claimed = "fits 80 GB",
              .predicted = fmt::format(
                  "{:.0f} GB of weights for {}; {} leaves room for {:.0f} tokens, {:.0f} "
                  "for each of 128",
                  static_cast<double>(large.deployment().model.weight_bytes) / 1e9,
                  large.deployment().model.title, small.where(), room, room / 128)};
  if (large.fits()) {
    claim.verdict = Verdict::kHolds;
    claim.why = "as claimed";
  } else if (room / 128 >= kContext) {
    claim.verdict = Verdict::kUnderCondition;
    claim.why = "V1 is a model of 16 billion parameters; one of 671 billion does not fit one card";
  } else {
    claim.why = "neither fits";
  }
  return claim;
}

Result<Claim> sessions() {
  FATHOM_TRY(const Setup setup, Setup::make("v3", "fp8", "h200-141gb", 8));
  FATHOM_TRY(const Setup small, Setup::make("v2-lite", "q4_0", "a100-80gb", 1));
  const double large_ms = setup.step_ms(200);
  const double small_ms = small.step_ms(200);
  Claim claim{
      .table = "serving",
      .subject = "200 sessions",
      .claimed = "85 ms on average",
      .predicted = fmt::format("{:.0f} ms between tokens of 200 sequences: {}; {:.0f} ms: {}",
                               large_ms, setup.where(), small_ms, small.where()),
      .measured = std::string(kSessions)};
  const bool holds = std::min(large_ms, small_ms) <= 85;
  claim.verdict = holds ? Verdict::kUnderCondition : Verdict::kDoesNotHold;
  claim.why =
      holds ? "it means the time between two tokens while all 200 are answered, not an answer's"
            : "a step of 200 sequences takes longer";
  return claim;
}

Result<Claim> batching() {
  FATHOM_TRY(const Setup setup, Setup::make("coder-6.7b", "q4_0", "a100-80gb", 1));
  const double factor = setup.tokens_per_second(16) / setup.tokens_per_second(1);
  return Claim{.table = "serving",
               .subject = "batches of 16",
               .claimed = "3 x the throughput",
               .predicted = fmt::format("{:.1f} x: {}", factor, setup.where()),
               .measured = std::string(kBatching),
               .verdict = factor >= 3 ? Verdict::kHolds : Verdict::kDoesNotHold,
               .why = factor >= 3 ? "where reading weights bounds a step, it is more"
                                  : "arithmetic bounds such a step"};
}

Result<Claim> edge(std::string_view hardware, std::string title, double claimed_ms) {
  FATHOM_TRY(const Setup lite, Setup::make("coder-6.7b", "q4_0", hardware, 1));
  FATHOM_TRY(const Setup small, Setup::make("r1-distill-qwen-1.5b", "q4_0", hardware, 1));
  Claim claim = latency(std::move(title), claimed_ms, lite);
  if (claim.verdict == Verdict::kDoesNotHold && small.step_ms(1) <= claimed_ms) {
    claim.verdict = Verdict::kUnderCondition;
    claim.why = fmt::format(
        "it means one token of a smaller model, {}: {:.0f} ms; of 6.7 billion "
        "parameters not even one comes in that time",
        small.deployment().model.title, small.step_ms(1));
  }
  return claim;
}

Result<Claim> inspection() {
  FATHOM_TRY(const Setup before, Setup::make("r1-distill-qwen-1.5b", "bf16", "xavier-nx-8gb", 1));
  FATHOM_TRY(const Setup after, Setup::make("r1-distill-qwen-1.5b", "q4_0", "xavier-nx-8gb", 1));
  const double factor = before.step_ms(1) / after.step_ms(1);
  return Claim{
      .table = "latency",
      .subject = "Xavier NX, optimised",
      .claimed = "220 ms to 78 ms (2.8 x)",
      .predicted = fmt::format("{:.1f} x for a token, {:.0f} ms to {:.0f} ms: {} instead of bf16",
                               factor, before.step_ms(1), after.step_ms(1), after.where()),
      .measured = std::string(kFourBits),
      .verdict = factor >= 2.8 ? Verdict::kUnderCondition : Verdict::kDoesNotHold,
      .why = factor >= 2.8 ? "memory bounds it and weights go from 16 bits to 4"
                           : "four bits instead of 16 alone do not make it so much faster"};
}

std::vector<Claim> claims_of_cost(const CostClaim& cost) {
  std::vector<Claim> claims;
  claims.push_back(
      {.table = "cost",
       .subject = "V1, a million requests",
       .claimed = "2.8 h of an A100 at $0.45: $1.26",
       .predicted = fmt::format("${:.2f}; at its table's 180 tokens/s that leaves {:.1f} tokens "
                                "for each request",
                                cost.v1_usd, cost.tokens_per_request),
       .verdict = Verdict::kDoesNotHold,
       .why = "the product is right, but its own throughput allows no such answers, one A100 "
              "does not hold the model, and the catalogue has A100s from $1.29 an hour"});
  claims.push_back({.table = "cost",
                    .subject = "Lite, a million requests",
                    .claimed = "7.2 h of 8 Jetsons at $0.12: $0.86",
                    .predicted = fmt::format("${:.2f}", cost.lite_usd),
                    .verdict = Verdict::kUnderCondition,
                    .why = "$0.12 pays for the whole cluster with its energy"});
  const std::string at_own_prices =
      cost.break_even ? fmt::format("from {:.0f} requests on", *cost.break_even) : "at no volume";
  claims.push_back(
      {.table = "cost",
       .subject = "V1 cheaper above 1.5 million",
       .claimed = "break-even at 1.5 million",
       .predicted = fmt::format(
           "{} at these prices. A fixed cost of ${:.2f} for Lite makes both equal at 1.5 "
           "million, and V1 the cheaper one below it",
           at_own_prices, cost.lite_fixed_usd),
       .verdict = Verdict::kUnderCondition,
       .why = fmt::format(
           "energy is paid beside, at more than ${:.2f} a kWh, and V1 has a fixed cost: "
           "${:.2f} at ${:.2f} a kWh",
           cost.energy_price, cost.v1_fixed_usd, cost.dear_energy)});
  return claims;
}

}  // namespace

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHolds:
      return "holds";
    case Verdict::kUnderCondition:
      return "holds if";
    case Verdict::kDoesNotHold:
      return "does not hold";
  }
  return "does not hold";
}

CostClaim cost_claim() {
  constexpr double kV1Hours = 2.8;  // for a million requests
  constexpr double kV1Usd = 0.45;   // an hour
  constexpr double kLiteHours = 7.2;
  constexpr double kLiteUsd = 0.12;
  // What the makers say the devices draw (an A100, eight AGX Orin), in kW.
  constexpr double kV1Kilowatts = 0.4;
  constexpr double kLiteKilowatts = 8 * 0.06;
  constexpr double kMuch = 1e12;  // requests a month: the document adds no further machines
  CostClaim claim;
  claim.v1_usd = kV1Hours * kV1Usd;
  claim.lite_usd = kLiteHours * kLiteUsd;
  claim.tokens_per_request = 180 * kV1Hours * 3600 / kMillion;
  CostModel v1{.requests_per_month = kMuch, .usd_per_request = claim.v1_usd / kMillion};
  CostModel lite{.requests_per_month = kMuch, .usd_per_request = claim.lite_usd / kMillion};
  const BreakEven own = break_even(lite, v1);
  claim.break_even = own.second_is_cheaper_below ? 0.0 : own.requests_per_month;
  claim.lite_fixed_usd = fixed_cost_for(lite, v1, kBreakEven);
  const double more_energy = kLiteKilowatts * kLiteHours - kV1Kilowatts * kV1Hours;  // kWh
  claim.energy_price = (claim.v1_usd - claim.lite_usd) / more_energy;
  claim.dear_energy = 0.30;
  v1.usd_per_request += claim.dear_energy * kV1Kilowatts * kV1Hours / kMillion;
  lite.usd_per_request += claim.dear_energy * kLiteKilowatts * kLiteHours / kMillion;
  claim.v1_fixed_usd = fixed_cost_for(v1, lite, kBreakEven);
  return claim;
}

Result<DocumentReport> compare_document() {
  DocumentReport report;
  FATHOM_TRY(const Setup v1, Setup::make("v3", "q4_0", "a100-80gb", 8));
  FATHOM_TRY(const Setup lite, Setup::make("coder-6.7b", "q4_0", "agx-orin-64gb", 1));
  FATHOM_TRY(const Setup pro, Setup::make("vl2", "bf16", "a100-80gb", 1));
  std::vector<Claim>& claims = report.claims;
  claims.reserve(24);
  claims.push_back(measured_as(latency("V1", 128, v1), kLatencyOfV1));
  claims.push_back(measured_as(latency("Lite", 42, lite), kLatencyOfLite));
  claims.push_back(latency("Pro", 210, pro));
  FATHOM_TRY(claims.emplace_back(), edge("agx-orin-64gb", "Lite, AGX Orin", 50));
  FATHOM_TRY(claims.emplace_back(), edge("rpi5-8gb", "Lite, Raspberry Pi 5", 150));
  FATHOM_TRY(claims.emplace_back(), inspection());
  FATHOM_TRY(claims.emplace_back(), memory_of_v1());
  FATHOM_TRY(claims.emplace_back(), memory_of_lite());
  FATHOM_TRY(claims.emplace_back(), file_of_lite());
  FATHOM_TRY(claims.emplace_back(), memory_of_pro());
  FATHOM_TRY(claims.emplace_back(), encoder_of_pro());
  claims.push_back(measured_as(throughput("V1", 180, v1), kThroughputOfV1));
  claims.push_back(measured_as(throughput("Lite", 450, lite), kThroughputOfLite));
  claims.push_back(throughput("Pro", 95, pro));
  FATHOM_TRY(claims.emplace_back(), parallel_on_one_card());
  FATHOM_TRY(claims.emplace_back(), sessions());
  FATHOM_TRY(claims.emplace_back(), batching());
  report.cost = cost_claim();
  for (Claim& claim : claims_of_cost(report.cost)) claims.push_back(std::move(claim));
  return report;
}

}  // namespace fathom::plan
