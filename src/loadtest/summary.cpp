#include "loadtest/summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace fathom::loadtest {
namespace {

using Json = nlohmann::ordered_json;

double percentile(const std::vector<double>& sorted, double fraction) {
  const double at = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(std::floor(at));
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Json json_of(const Spread& spread) {
  return {{"mean", spread.mean}, {"p50", spread.p50},  {"p90", spread.p90},
          {"p99", spread.p99},   {"max", spread.most}, {"count", spread.count}};
}

std::string line_of(std::string_view name, const Spread& spread) {
  return fmt::format("{:<22}{:>10.1f}{:>10.1f}{:>10.1f}{:>10.1f}{:>10.1f}\n", name,
                     spread.mean * 1e3, spread.p50 * 1e3, spread.p90 * 1e3, spread.p99 * 1e3,
                     spread.most * 1e3);
}

struct Session {
  double seconds = 0;
  int64_t tokens = 0;
};

void add_fairness(const RunLog& log, Summary& summary) {
  std::map<int64_t, Session> sessions;
  for (const Record& record : log.records) {
    Session& session = sessions[record.session];
    if (!record.answered()) continue;
    session.seconds += record.ended - record.begun;
    session.tokens += record.tokens();
  }
  std::vector<double> paces;
  for (const auto& [number, session] : sessions) {
    if (session.tokens > 0) paces.push_back(session.seconds / static_cast<double>(session.tokens));
  }
  summary.sessions = static_cast<int64_t>(sessions.size());
  summary.sessions_without_answer =
      std::ranges::count_if(sessions, [](const auto& entry) { return entry.second.seconds == 0; });
  if (paces.empty()) return;
  std::ranges::sort(paces);
  const double median = percentile(paces, 0.5);
  if (median > 0) summary.slowest_over_median = paces.back() / median;
}

}  // namespace

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto count = static_cast<double>(values.size());
  return {.count = std::ssize(values),
          .mean = std::accumulate(values.begin(), values.end(), 0.0) / count,
          .p50 = percentile(values, 0.5),
          .p90 = percentile(values, 0.9),
          .p99 = percentile(values, 0.99),
          .most = values.back()};
}

std::vector<double> tokens_over_time(const RunLog& log, double seconds, size_t bins) {
  std::vector<double> counts(bins, 0);
  if (seconds <= 0) return counts;
  for (const Record& record : log.records) {
    if (record.arrivals.empty()) continue;
    const double each =
        static_cast<double>(record.tokens()) / static_cast<double>(record.arrivals.size());
    for (const double at : record.arrivals) {
      const double bin = at / seconds * static_cast<double>(bins);
      // The very last belongs to the last bin.
      if (bin <= static_cast<double>(bins)) {
        counts[std::min(static_cast<size_t>(bin), bins - 1)] += each;
      }
    }
  }
  return counts;
}

Summary summarise(const RunLog& log, double duration) {
  Summary summary;
  summary.seconds =
      duration > 0 && !log.interrupted ? std::min(duration, log.seconds) : log.seconds;
  std::vector<double> first;
  std::vector<double> inter;
  std::vector<double> gaps;
  std::vector<double> whole;
  int64_t prompt_in_time = 0;
  int64_t answers_in_time = 0;
  for (const Record& record : log.records) {
    ++summary.requests;
    if (!record.answered()) {
      Failures& failures = summary.errors[record.error];
      if (failures.count++ == 0) failures.example = record.detail;
      continue;
    }
    ++summary.answered;
    summary.output_tokens += record.tokens();
    summary.prompt_tokens += std::max<int64_t>(record.prompt_tokens, 0);
    summary.cached_tokens += std::max<int64_t>(record.cached_tokens, 0);
    summary.counted_by_server |= record.completion_tokens >= 0;
    whole.push_back(record.ended - record.begun);
    if (record.ended <= summary.seconds) {
      ++answers_in_time;
      prompt_in_time += std::max<int64_t>(record.prompt_tokens, 0);
    }
    if (record.arrivals.empty()) continue;
    first.push_back(record.arrivals.front() - record.begun);
    for (size_t i = 1; i < record.arrivals.size(); ++i) {
      gaps.push_back(record.arrivals[i] - record.arrivals[i - 1]);
    }
    if (record.tokens() > 1 && record.arrivals.size() > 1) {
      inter.push_back((record.arrivals.back() - record.arrivals.front()) /
                      static_cast<double>(record.tokens() - 1));
    }
  }
  if (summary.seconds > 0) {
    summary.output_tokens_per_second =
        tokens_over_time(log, summary.seconds, 1).front() / summary.seconds;
    summary.prompt_tokens_per_second = static_cast<double>(prompt_in_time) / summary.seconds;
    summary.answers_per_second = static_cast<double>(answers_in_time) / summary.seconds;
  }
  summary.first_token = spread_of(std::move(first));
  summary.inter_token = spread_of(std::move(inter));
  summary.gap = spread_of(std::move(gaps));
  summary.duration = spread_of(std::move(whole));
  add_fairness(log, summary);
  return summary;
}

Json to_json(const Summary& summary) {
  Json errors = Json::object();
  for (const auto& [kind, failures] : summary.errors) {
    errors[kind] = {{"count", failures.count}, {"example", failures.example}};
  }
  return {{"seconds", summary.seconds},
          {"requests", summary.requests},
          {"answered", summary.answered},
          {"errors", std::move(errors)},
          {"prompt_tokens", summary.prompt_tokens},
          {"cached_tokens", summary.cached_tokens},
          {"output_tokens", summary.output_tokens},
          {"counted_by", summary.counted_by_server ? "server" : "events"},
          {"output_tokens_per_second", summary.output_tokens_per_second},
          {"prompt_tokens_per_second", summary.prompt_tokens_per_second},
          {"answers_per_second", summary.answers_per_second},
          {"first_token_seconds", json_of(summary.first_token)},
          {"inter_token_seconds", json_of(summary.inter_token)},
          {"gap_seconds", json_of(summary.gap)},
          {"request_seconds", json_of(summary.duration)},
          {"fairness",
           {{"sessions", summary.sessions},
            {"without_answer", summary.sessions_without_answer},
            {"slowest_over_median", summary.slowest_over_median}}}};
}

std::string to_text(const Summary& summary) {
  std::string text =
      fmt::format("{} requests in {:.1f} s: {} answered, {} failed\n", summary.requests,
                  summary.seconds, summary.answered, summary.requests - summary.answered);
  for (const auto& [kind, failures] : summary.errors) {
    text += fmt::format("  {} x {}: {}\n", failures.count, kind, failures.example);
  }
  if (summary.answered == 0) return text;
  text += fmt::format(
      "{:.1f} output tokens/s, {:.1f} prompt tokens/s ({} of {} cached), {:.2f} answers/s\n",
      summary.output_tokens_per_second, summary.prompt_tokens_per_second, summary.cached_tokens,
      summary.prompt_tokens, summary.answers_per_second);
  if (!summary.counted_by_server) {
    text += "The server does not count tokens: each event with text counts as one.\n";
  }
  text += fmt::format("{:<22}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "milliseconds", "mean", "p50",
                      "p90", "p99", "max");
  text += line_of("first token", summary.first_token);
  text += line_of("inter-token (stream)", summary.inter_token);
  text += line_of("gap between events", summary.gap);
  text += line_of("whole request", summary.duration);
  text += fmt::format("slowest of {} sessions: {:.2f} x the median's time a token{}\n",
                      summary.sessions, summary.slowest_over_median,
                      summary.sessions_without_answer == 0
                          ? ""
                          : fmt::format("; {} got no answer", summary.sessions_without_answer));
  return text;
}

}  // namespace fathom::loadtest
