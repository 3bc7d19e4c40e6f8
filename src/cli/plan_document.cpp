#include "cli/plan_document.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/wrapped_text.h"

namespace fathom::cli {
namespace {

constexpr size_t kIndent = 14;

// One field of a claim: its name, and the words broken into lines below one another.
std::string field(std::string_view name, std::string_view words) {
  return wrapped(fmt::format("    {}", name), kIndent, words);
}

}  // namespace

std::string document_text(const plan::DocumentReport& report) {
  std::string out =
      "What the overview of DeepSeek models of 2025-09-17 claims, beside predictions for real\n"
      "checkpoints on hardware of the catalogue, which are estimates, and what was measured here,\n"
      "on other and smaller hardware than any claim is about.\n";
  std::string table;
  for (const plan::Claim& claim : report.claims) {
    if (claim.table != table) out += fmt::format("\n{}\n", claim.table);
    table = claim.table;
    out += fmt::format("  {}: {}\n", claim.subject, claim.claimed);
    out += field("predicted", claim.predicted);
    out += field("measured", claim.measured.empty() ? "not here" : claim.measured);
    out += field("verdict", claim.verdict == plan::Verdict::kUnderCondition
                                ? fmt::format("{} {}", name(claim.verdict), claim.why)
                                : fmt::format("{}: {}", name(claim.verdict), claim.why));
  }
  return out;
}

std::string document_json(const plan::DocumentReport& report) {
  using Json = nlohmann::ordered_json;
  Json claims = Json::array();
  for (const plan::Claim& claim : report.claims) {
    claims.push_back({{"table", claim.table},
                      {"subject", claim.subject},
                      {"claimed", claim.claimed},
                      {"predicted", claim.predicted},
                      {"measured", claim.measured.empty() ? Json() : Json(claim.measured)},
                      {"verdict", name(claim.verdict)},
                      {"why", claim.why}});
  }
  const plan::CostClaim& cost = report.cost;
  return Json{{"claims", std::move(claims)},
              {"cost",
               {{"v1_usd_per_million_requests", cost.v1_usd},
                {"lite_usd_per_million_requests", cost.lite_usd},
                {"break_even_requests", cost.break_even ? Json(*cost.break_even) : Json()},
                {"lite_fixed_usd_for_break_even", cost.lite_fixed_usd},
                {"energy_usd_per_kwh_from_which_v1_is_cheaper", cost.energy_price},
                {"energy_usd_per_kwh", cost.dear_energy},
                {"v1_fixed_usd_for_break_even", cost.v1_fixed_usd},
                {"v1_tokens_per_request", cost.tokens_per_request}}}}
             .dump(2) +
         '\n';
}

}  // namespace fathom::cli
