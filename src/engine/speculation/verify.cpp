#include "engine/speculation/verify.h"

#include <algorithm>

#include "base/assert.h"

namespace fathom {
namespace {

double probability_of(std::span<const TokenProbability> distribution, int32_t token) {
  const auto found = std::ranges::find(distribution, token, &TokenProbability::token);
  return found == distribution.end() ? 0.0 : found->probability;
}

// Draws from max(0, p - q), normalised. Consumes one random number.
int32_t draw_residual(std::span<const TokenProbability> p, std::span<const TokenProbability> q,
                      Sampler& sampler) {
  std::vector<TokenProbability> by_token(q.begin(), q.end());
  std::ranges::sort(by_token, {}, &TokenProbability::token);
  std::vector<TokenProbability> residual;
  double total = 0;
  for (const TokenProbability& entry : p) {
    const auto found =
        std::ranges::lower_bound(by_token, entry.token, {}, &TokenProbability::token);
    const bool drafted = found != by_token.end() && found->token == entry.token;
    const double more = entry.probability - (drafted ? found->probability : 0.0);
    if (more <= 0.0) continue;
    residual.push_back({entry.token, more});
    total += more;
  }
  // Where p equals q but for rounding, there is nothing left over, and either will do.
  if (residual.empty()) {
    residual.assign(p.begin(), p.end());
    total = 1;
  }
  const double target = sampler.uniform() * total;
  double sum = 0;
  for (const TokenProbability& entry : residual) {
    sum += entry.probability;
    if (target < sum) return entry.token;
  }
  return residual.back().token;
}

// The token at the place of `drafted`, which was drawn from q.
int32_t accept_or_redraw(std::span<const float> logits, int32_t drafted,
                         std::span<const TokenProbability> q, Sampler& sampler) {
  const auto p = sampler.distribution(logits);
  const bool accepted = sampler.uniform() * probability_of(q, drafted) < probability_of(p, drafted);
  const int32_t token = accepted ? drafted : draw_residual(p, q, sampler);
  sampler.say(token);
  return token;
}

}  // namespace

int64_t verify(std::span<const float> logits, const Draft& draft, Sampler& sampler,
               std::vector<int32_t>& tokens) {
  const size_t count = draft.tokens.size();
  FATHOM_ASSERT(logits.size() % (count + 1) == 0);
  FATHOM_ASSERT(draft.distributions.empty() || draft.distributions.size() == count);
  const size_t vocab = logits.size() / (count + 1);
  for (size_t i = 0; i < count; ++i) {
    const auto row = logits.subspan(i * vocab, vocab);
    const int32_t drafted = draft.tokens[i];
    tokens.push_back(draft.distributions.empty()
                         ? sampler.sample(row)
                         : accept_or_redraw(row, drafted, draft.distributions[i], sampler));
    if (tokens.back() != drafted) return static_cast<int64_t>(i);
  }
  tokens.push_back(sampler.sample(logits.subspan(count * vocab, vocab)));
  return static_cast<int64_t>(count);
}

}  // namespace fathom
