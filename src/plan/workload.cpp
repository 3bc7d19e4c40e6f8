#include "plan/workload.h"

#include <algorithm>
#include <cmath>

#include "base/json_lines.h"
#include "base/quote.h"

namespace fathom::plan {
namespace {

// English has about four tokens to three words (docs/planning.md).
constexpr double kTokensPerWord = 4.0 / 3;
constexpr int64_t kMostTokens = 10'000'000;
constexpr double kMostSeconds = 1e9;

Result<int64_t> count(const nlohmann::json& value, std::string_view name) {
  if (value.is_number_integer()) {
    const auto number = value.get<int64_t>();
    if (number >= 1 && number <= kMostTokens) return number;
  }
  return fail("\"{}\" must be a whole number from 1 to {}", name, kMostTokens);
}

int64_t tokens_of_words(double words) {
  return std::max<int64_t>(1, std::llround(words * kTokensPerWord));
}

double words_in(std::string_view text) {
  double words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!space && !inside) ++words;
    inside = !space;
  }
  return words;
}

Result<PastRequest> parse_request(const nlohmann::json& line) {
  PastRequest request{.at = -1};
  int prompts = 0;
  int outputs = 0;
  for (const auto& [name, value] : line.items()) {
    if (name == "at") {
      if (!value.is_number() || !(value.get<double>() >= 0) || value.get<double>() > kMostSeconds) {
        return fail("\"at\" must be seconds from the start, 0 to {}", kMostSeconds);
      }
      request.at = value.get<double>();
    } else if (name == "prompt_tokens") {
      FATHOM_TRY(request.prompt_tokens, count(value, name));
      ++prompts;
    } else if (name == "prompt_words") {
      FATHOM_TRY(const int64_t words, count(value, name));
      request.prompt_tokens = tokens_of_words(static_cast<double>(words));
      ++prompts;
    } else if (name == "prompt") {
      if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
        return fail("\"prompt\" must be a text");
      }
      request.prompt_tokens = tokens_of_words(words_in(value.get_ref<const std::string&>()));
      ++prompts;
    } else if (name == "output_tokens" || name == "max_tokens") {
      FATHOM_TRY(request.output_tokens, count(value, name));
      ++outputs;
    } else {
      return fail(
          "{} is not known; there are at, prompt_tokens, prompt_words, prompt, output_tokens and "
          "max_tokens",
          in_quotes(name));
    }
  }
  if (request.at < 0) return fail("\"at\" is missing: the planner must know when requests came");
  if (prompts != 1) {
    return fail("there must be one of \"prompt_tokens\", \"prompt_words\" and \"prompt\"");
  }
  if (outputs != 1) return fail("there must be one of \"output_tokens\" and \"max_tokens\"");
  return request;
}

}  // namespace

Result<std::vector<PastRequest>> parse_past_requests(std::string_view text, std::string_view file) {
  std::vector<PastRequest> requests;
  const Status read = read_json_lines(text, file, [&](const nlohmann::json& line) -> Status {
    FATHOM_TRY(const PastRequest request, parse_request(line));
    if (!requests.empty() && request.at < requests.back().at) {
      return fail("\"at\" is before that of the line above");
    }
    requests.push_back(request);
    return {};
  });
  if (!read) return usage_error("{}", read.error().message);
  if (requests.size() < 2) {
    return usage_error("{} has {} requests in it; a load needs two at least.", file,
                       requests.size());
  }
  if (!(requests.back().at > requests.front().at)) {
    return usage_error("{}: all requests come at the same time, which tells no load.", file);
  }
  const double first = requests.front().at;
  for (PastRequest& request : requests) request.at -= first;
  return requests;
}

double longest_gap(const std::vector<PastRequest>& requests) {
  double longest = 0;
  for (size_t i = 1; i < requests.size(); ++i) {
    longest = std::max(longest, requests[i].at - requests[i - 1].at);
  }
  return longest;
}

}  // namespace fathom::plan
