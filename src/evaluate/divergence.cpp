#include "evaluate/divergence.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <span>
#include <string_view>

#include "evaluate/distribution.h"
#include "evaluate/statistics.h"

namespace fathom {

namespace {

// expect(window, input, first, rows): the reference's logits for the positions of a window from
// `first` on, but for the last of all, which predicts beyond the window; appended to rows.
using Expect = std::function<Status(const std::vector<int32_t>& input, int64_t first,
                                    std::vector<float>& rows)>;

Result<Divergence> measure(const Model& model, const Expect& expect,
                           const std::vector<int32_t>& tokens, const Windowing& windowing,
                           const OnRead& on_read) {
  FATHOM_TRY(const auto windows, cut_windows(static_cast<int64_t>(tokens.size()), windowing));
  if (windows.empty()) {
    return fail("The text has {} tokens: at least two are needed to predict one.", tokens.size());
  }
  Session session(model, windowing.context);
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
    FATHOM_CHECK(expect(input, first, expected));
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

Status check_vocabulary(const Model& model, std::string_view reference, int64_t vocab) {
  if (model.info().vocab_size == vocab) return {};
  return fail(
      "{} has a vocabulary of {} tokens and {} one of {}: their distributions cannot be compared.",
      model.info().name, model.info().vocab_size, reference, vocab);
}

}  // namespace

Result<Divergence> measure_divergence(const Model& model, const Model& reference,
                                      const std::vector<int32_t>& tokens,
                                      const Windowing& windowing, const OnRead& on_read) {
  FATHOM_CHECK(check_vocabulary(model, fmt::format("the reference {}", reference.info().name),
                                reference.info().vocab_size));
  Session session(reference, windowing.context);
  const auto vocab = static_cast<size_t>(reference.info().vocab_size);
  const auto expect = [&](const std::vector<int32_t>& input, int64_t first,
                          std::vector<float>& rows) {
    const auto last = static_cast<int64_t>(input.size()) - 1;
    return session.each_logits(input, first, [&](int64_t position, const float* row) {
      if (position < last) rows.insert(rows.end(), row, row + vocab);
    });
  };
  return measure(model, expect, tokens, windowing, on_read);
}

Result<Divergence> measure_divergence(const Model& model, const SavedLogits& reference,
                                      const OnRead& on_read) {
  FATHOM_CHECK(check_vocabulary(model, "the saved reference", reference.vocab()));
  const auto vocab = static_cast<size_t>(reference.vocab());
  int64_t next = 0;
  const auto expect = [&](const std::vector<int32_t>& input, int64_t first,
                          std::vector<float>& rows) {
    const auto count = static_cast<int64_t>(input.size()) - 1 - first;
    rows.resize(static_cast<size_t>(count) * vocab);
    for (int64_t i = 0; i < count; ++i) {
      reference.row(next++, std::span(rows).subspan(static_cast<size_t>(i) * vocab, vocab));
    }
    return Status();
  };
  return measure(model, expect, reference.tokens(), reference.windowing(), on_read);
}

}  // namespace fathom
