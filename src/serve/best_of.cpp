#include "serve/best_of.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.h"

namespace fathom::serve {
namespace {

double logprob_per_token(const Choice& choice) {
  if (choice.tokens.empty()) return -std::numeric_limits<double>::infinity();
  double sum = 0;
  for (const ScoredToken& token : choice.tokens) {
    FATHOM_ASSERT(token.logprob.has_value());
    sum += static_cast<double>(*token.logprob);
  }
  return sum / static_cast<double>(choice.tokens.size());
}

}  // namespace

std::vector<Choice> best_choices(std::vector<Choice> choices, size_t answers, size_t keep) {
  FATHOM_ASSERT(keep <= answers && choices.size() % answers == 0);
  std::vector<Choice> best;
  for (size_t first = 0; first < choices.size(); first += answers) {
    std::vector<std::pair<double, size_t>> order;
    for (size_t i = first; i < first + answers; ++i) {
      order.emplace_back(-logprob_per_token(choices[i]), i);
    }
    std::ranges::sort(order);
    for (size_t i = 0; i < keep; ++i) best.push_back(std::move(choices[order[i].second]));
  }
  return best;
}

}  // namespace fathom::serve
