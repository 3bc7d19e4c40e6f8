#include "cli/remote_perplexity.h"

#include <cmath>
#include <span>

#include "evaluate/statistics.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::json;

// The log-probabilities of a window's scored tokens.
Result<std::vector<double>> scores_of(const Window& window, const Json& answer,
                                      const std::string& url) {
  const auto count = static_cast<size_t>(window.end - window.begin);
  const Json::json_pointer place("/choices/0/logprobs/token_logprobs");
  if (!answer.contains(place) || !answer[place].is_array() || answer[place].size() < count) {
    return fail(
        "{} answered without the log-probabilities of the prompt's {} tokens. Perplexity needs "
        "/completions with \"echo\" and \"logprobs\" for prompts of token ids.",
        url, count);
  }
  const Json& all = answer[place];
  std::vector<double> scores;
  for (auto i = static_cast<size_t>(window.scored - window.begin); i < count; ++i) {
    if (!all[i].is_number()) {
      return fail("{} answered without the log-probability of a token in the text.", url);
    }
    scores.push_back(all[i].get<double>());
  }
  return scores;
}

}  // namespace

Result<Perplexity> measure_perplexity(RemoteServer& server, const std::vector<int32_t>& tokens,
                                      const Windowing& windowing, const OnRead& on_read) {
  FATHOM_TRY(const auto windows, cut_windows(static_cast<int64_t>(tokens.size()), windowing));
  if (windows.empty()) {
    return fail("The text has {} tokens: at least two are needed to predict one.", tokens.size());
  }
  std::vector<std::vector<double>> scores(windows.size());
  FATHOM_CHECK(server.ask_all(
      windows.size(),
      [&](size_t i) -> std::pair<std::string, Json> {
        const auto input =
            std::span(tokens).subspan(static_cast<size_t>(windows[i].begin),
                                      static_cast<size_t>(windows[i].end - windows[i].begin));
        // One token is asked for, and left off: not every server allows none.
        return {"/completions",
                {{"model", server.model()},
                 {"prompt", std::vector<int32_t>(input.begin(), input.end())},
                 {"max_tokens", 1},
                 {"temperature", 0},
                 {"echo", true},
                 {"logprobs", 1}}};
      },
      [&](size_t i, const Json& answer) -> Status {
        FATHOM_TRY(scores[i], scores_of(windows[i], answer, server.url()));
        return {};
      },
      [&](size_t done) { return !on_read || on_read(done == 0 ? 0 : windows[done - 1].end); }));
  Mean nll;
  for (const auto& window : scores) {
    for (const double score : window) nll.add(-score);
  }
  return Perplexity{.perplexity = std::exp(nll.mean()),
                    .nll = nll.mean(),
                    .standard_error = nll.standard_error(),
                    .tokens = nll.count(),
                    .windows = std::ssize(windows)};
}

}  // namespace fathom::cli
