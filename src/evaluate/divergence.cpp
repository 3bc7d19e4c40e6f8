#include "evaluate/divergence.h"

#include <algorithm>
#include <span>

#include "evaluate/distribution.h"
#include "evaluate/statistics.h"

namespace fathom {

Result<Divergence> measure_divergence(const Model& model, const Model& reference,
                                      const std::vector<int32_t>& tokens,
                                      const Windowing& windowing, const OnRead& on_read) {
  if (model.info().vocab_size != reference.info().vocab_size) {
    return fail(
        "{} has a vocabulary of {} tokens and the reference {} one of {}: their distributions "
        "cannot be compared.",
        model.info().name, model.info().vocab_size, reference.info().name,
        reference.info().vocab_size);
  }
  FATHOM_TRY(const auto windows, cut_windows(static_cast<int64_t>(tokens.size()), windowing));
  if (windows.empty()) {
    return fail("The text has {} tokens: at least two are needed to predict one.", tokens.size());
  }
  Session session(model, windowing.context);
  Session reference_session(reference, windowing.context);
  const auto vocab = static_cast<size_t>(model.info().vocab_size);
  std::vector<float> expected;  // rows of the reference for one window
  std::vector<double> divergences;
  Mean kl;
  Mean nll;
  Mean reference_nll;
  int64_t agreed = 0;
  for (const Window& window : windows) {
    const std::vector<int32_t> input(tokens.begin() + window.begin, tokens.begin() + window.end);
    const int64_t first = window.scored - 1 - window.begin;
    const auto last = static_cast<int64_t>(input.size()) - 1;  // predicts beyond the window
    expected.clear();
    FATHOM_CHECK(
        reference_session.each_logits(input, first, [&](int64_t position, const float* row) {
          if (position < last) expected.insert(expected.end(), row, row + vocab);
        }));
    FATHOM_CHECK(session.each_logits(input, first, [&](int64_t position, const float* row) {
      if (position == last) return;
      const std::span<const float> q(row, vocab);
      const std::span<const float> p(
          expected.data() + static_cast<size_t>(position - first) * vocab, vocab);
      const auto next = static_cast<size_t>(input[static_cast<size_t>(position) + 1]);
      divergences.push_back(kl_divergence(p, q));
      kl.add(divergences.back());
      nll.add(log_sum_exp(q) - static_cast<double>(q[next]));
      reference_nll.add(log_sum_exp(p) - static_cast<double>(p[next]));
      if (most_likely(p) == most_likely(q)) ++agreed;
    }));
    if (on_read && !on_read(window.end)) return fail("Interrupted after {} tokens.", window.end);
  }
  std::sort(divergences.begin(), divergences.end());
  return Divergence{.mean = kl.mean(),
                    .standard_error = kl.standard_error(),
                    .median = percentile(divergences, 0.5),
                    .p90 = percentile(divergences, 0.9),
                    .p99 = percentile(divergences, 0.99),
                    .largest = divergences.back(),
                    .top1_agreement = static_cast<double>(agreed) / static_cast<double>(kl.count()),
                    .nll = nll.mean(),
                    .reference_nll = reference_nll.mean(),
                    .tokens = kl.count()};
}

}  // namespace fathom
