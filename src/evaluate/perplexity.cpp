#include "evaluate/perplexity.h"

#include <cmath>
#include <span>

#include "evaluate/distribution.h"
#include "evaluate/statistics.h"

namespace fathom {

Result<Perplexity> measure_perplexity(const Model& model, const std::vector<int32_t>& tokens,
                                      const Windowing& windowing, const OnRead& on_read,
                                      const OnLogits& on_logits) {
  FATHOM_TRY(const auto windows, cut_windows(static_cast<int64_t>(tokens.size()), windowing));
  if (windows.empty()) {
    return fail("The text has {} tokens: at least two are needed to predict one.", tokens.size());
  }
  Session session(model, windowing.context);
  const auto vocab = static_cast<size_t>(model.info().vocab_size);
  Mean nll;
  Status passed_on;
  for (const Window& window : windows) {
    const std::vector<int32_t> input(tokens.begin() + window.begin, tokens.begin() + window.end);
    // The row at a position predicts the next token; the last row predicts beyond the window.
    FATHOM_CHECK(session.each_logits(
        input, window.scored - 1 - window.begin, [&](int64_t position, const float* row) {
          const auto next = static_cast<size_t>(position) + 1;
          if (next == input.size()) return;
          const std::span<const float> logits(row, vocab);
          nll.add(log_sum_exp(logits) -
                  static_cast<double>(logits[static_cast<size_t>(input[next])]));
          if (on_logits && passed_on) passed_on = on_logits(logits);
        }));
    FATHOM_CHECK(passed_on);
    if (on_read && !on_read(window.end)) return fail("Interrupted after {} tokens.", window.end);
  }
  return Perplexity{.perplexity = std::exp(nll.mean()),
                    .nll = nll.mean(),
                    .standard_error = nll.standard_error(),
                    .tokens = nll.count(),
                    .windows = static_cast<int64_t>(windows.size())};
}

}  // namespace fathom
