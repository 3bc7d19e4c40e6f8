// What fathom plan found, as text of at most 100 columns and as JSON.
#pragma once

#include <optional>
#include <string>

#include "plan/ranking.h"

namespace fathom::cli {

// Two places of the ranking, against each other.
struct BreakEvenReport {
  size_t first = 0;  // counted from 0
  size_t second = 0;
  plan::CostModel first_cost;
  plan::CostModel second_cost;
  plan::BreakEven result;
  std::optional<double> escalated;  // the first in front of the second
};
// Fails (kUsage) where there are no such places, or a cost is not known.
Result<BreakEvenReport> compare_costs(const plan::Ranking& ranking, const plan::Prices& prices,
                                      size_t first, size_t second, double fixed_usd,
                                      std::optional<double> escalated);

// The load and what is wished for, in a line.
std::string load_text(const plan::Question& question);

std::string plan_text(const plan::Question& question, const plan::Ranking& ranking, size_t top,
                      const std::optional<BreakEvenReport>& break_even);
std::string plan_json(const plan::Question& question, const plan::Ranking& ranking,
                      const std::optional<BreakEvenReport>& break_even);

// Why there is nothing to choose: which constraint binds at the nearest miss, by how much.
std::string nothing_found_text(const plan::Ranking& ranking);

}  // namespace fathom::cli
