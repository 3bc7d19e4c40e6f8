#include "loadtest/summary.h"

#include <gtest/gtest.h>

#include <numeric>

#include "loadtest/plot.h"

namespace fathom::loadtest {
namespace {

// Tokens at `first` and then every `step` seconds.
Record answered(int64_t session, double begun, double first, double step, int count) {
  Record record;
  record.session = session;
  record.begun = begun;
  for (int i = 0; i < count; ++i) record.arrivals.push_back(first + i * step);
  record.ended = record.arrivals.back();
  record.completion_tokens = count;
  record.prompt_tokens = 100;
  record.cached_tokens = 20;
  return record;
}

TEST(Summary, ComputesPercentilesAsNumpyDoes) {
  // numpy.percentile([1, 2, 3, 4, 10], [50, 90, 99]) == [3, 7.6, 9.76]
  const Spread spread = spread_of({10, 1, 4, 3, 2});
  EXPECT_DOUBLE_EQ(spread.mean, 4);
  EXPECT_DOUBLE_EQ(spread.p50, 3);
  EXPECT_DOUBLE_EQ(spread.p90, 7.6);
  EXPECT_DOUBLE_EQ(spread.p99, 9.76);
  EXPECT_DOUBLE_EQ(spread.most, 10);
  EXPECT_EQ(spread_of({}).count, 0);
}

TEST(Summary, MeasuresFromWhenARequestWasDueAndBetweenTokens) {
  RunLog log;
  log.records = {answered(0, 1, 1.5, 0.1, 11), answered(1, 1, 2.0, 0.2, 6)};
  log.seconds = 3;
  const Summary summary = summarise(log, 0);
  EXPECT_NEAR(summary.first_token.mean, 0.75, 1e-9);
  EXPECT_NEAR(summary.inter_token.mean, 0.15, 1e-9);
  EXPECT_NEAR(summary.gap.most, 0.2, 1e-9);
  EXPECT_EQ(summary.gap.count, 15);
  EXPECT_EQ(summary.output_tokens, 17);
  EXPECT_NEAR(summary.output_tokens_per_second, 17 / 3.0, 1e-9);
  EXPECT_NEAR(summary.prompt_tokens_per_second, 200 / 3.0, 1e-9);
  EXPECT_EQ(summary.cached_tokens, 40);
}

TEST(Summary, DividesByTokensWhereAnEventBringsSeveral) {
  RunLog log;
  log.records = {answered(0, 0, 1, 0.5, 3)};
  log.records[0].completion_tokens = 11;
  log.seconds = 2;
  EXPECT_NEAR(summarise(log, 0).inter_token.mean, 0.1, 1e-9);
}

TEST(Summary, LeavesOutWhatComesAfterTheTimeIsOver) {
  RunLog log;
  log.records = {answered(0, 0, 1, 1, 10), answered(1, 0, 6, 1, 10)};  // until 10 s and 15 s
  log.seconds = 15;
  const Summary summary = summarise(log, 10);
  EXPECT_EQ(summary.seconds, 10);
  EXPECT_NEAR(summary.output_tokens_per_second, (10 + 5) / 10.0, 1e-9);
  EXPECT_NEAR(summary.answers_per_second, 1 / 10.0, 1e-9);
}

TEST(Summary, ComparesTheSlowestSessionWithTheMedian) {
  RunLog log;
  log.records = {answered(0, 0, 1, 1, 10), answered(1, 0, 1, 1, 10), answered(2, 0, 21, 1, 10)};
  Record failed;
  failed.session = 3;
  failed.error = "HTTP 500";
  failed.detail = "it broke";
  log.records.push_back(failed);
  log.seconds = 30;
  const Summary summary = summarise(log, 0);
  EXPECT_NEAR(summary.slowest_over_median, 3, 1e-9);
  EXPECT_EQ(summary.sessions, 4);
  EXPECT_EQ(summary.sessions_without_answer, 1);
  EXPECT_EQ(summary.errors.at("HTTP 500").count, 1);
  const std::string text = to_text(summary);
  EXPECT_NE(text.find("4 requests in 30.0 s: 3 answered, 1 failed"), std::string::npos) << text;
  EXPECT_NE(text.find("1 x HTTP 500: it broke"), std::string::npos) << text;
  const auto json = to_json(summary);
  EXPECT_EQ(json["errors"]["HTTP 500"]["count"], 1);
  EXPECT_EQ(json["fairness"]["without_answer"], 1);
}

TEST(Summary, SpreadsAStreamsTokensOverItsEvents) {
  RunLog log;
  log.records = {answered(0, 0, 0.5, 1, 4)};
  log.records[0].completion_tokens = 8;
  EXPECT_EQ(tokens_over_time(log, 4, 4), (std::vector<double>{2, 2, 2, 2}));
  EXPECT_EQ(tokens_over_time(log, 2, 2), (std::vector<double>{2, 2}));
}

TEST(Plot, DrawsEveryAnsweredRequest) {
  RunLog log;
  for (int i = 0; i < 7; ++i) log.records.push_back(answered(i, i, i + 0.5, 0.1, 5));
  log.seconds = 8;
  const std::string svg = draw_run("a < b & c", log, 8);
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_NE(svg.find("a &lt; b &amp; c"), std::string::npos);
  size_t dots = 0;
  for (size_t at = svg.find("<circle"); at != std::string::npos; at = svg.find("<circle", at + 1)) {
    ++dots;
  }
  EXPECT_EQ(dots, 7U);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(draw_run("nothing", {}, 0).find("nan"), std::string::npos);
}

}  // namespace
}  // namespace fathom::loadtest
