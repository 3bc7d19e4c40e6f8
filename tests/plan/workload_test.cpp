#include "plan/workload.h"

#include <gtest/gtest.h>

#include <cmath>

#include "plan/demand.h"

namespace fathom::plan {
namespace {

std::string error_of(std::string_view text) {
  const auto parsed = parse_past_requests(text, "day.jsonl");
  return parsed ? "" : parsed.error().message;
}

TEST(PastRequests, AreReadWithExactCountsFromTheFirstOn) {
  const auto trace = parse_past_requests(
      "{\"at\": 10, \"prompt_tokens\": 100, \"output_tokens\": 20}\n\n"
      "{\"at\": 12.5, \"prompt_tokens\": 7, \"output_tokens\": 1}\n",
      "day.jsonl");
  ASSERT_TRUE(trace);
  ASSERT_EQ(trace->size(), 2U);
  EXPECT_EQ((*trace)[0].at, 0);
  EXPECT_EQ((*trace)[0].prompt_tokens, 100);
  EXPECT_EQ((*trace)[0].output_tokens, 20);
  EXPECT_EQ((*trace)[1].at, 2.5);
}

TEST(PastRequests, AreReadAsLoadTestsHaveThem) {
  const auto trace = parse_past_requests(
      "{\"at\": 0, \"prompt_words\": 30, \"max_tokens\": 20}\n"
      "{\"at\": 1, \"prompt\": \"one two  three\", \"max_tokens\": 5}\n",
      "day.jsonl");
  ASSERT_TRUE(trace);
  EXPECT_EQ((*trace)[0].prompt_tokens, 40);
  EXPECT_EQ((*trace)[1].prompt_tokens, 4);
  EXPECT_EQ((*trace)[1].output_tokens, 5);
}

TEST(PastRequests, SayInWhichLineTheyAreWrong) {
  const std::string good = "{\"at\": 5, \"prompt_tokens\": 1, \"output_tokens\": 1}\n";
  EXPECT_NE(error_of(good + "{\"at\": 4, \"prompt_tokens\": 1, \"output_tokens\": 1}\n")
                .find("day.jsonl, line 2: \"at\" is before"),
            std::string::npos);
  EXPECT_NE(
      error_of(good + "{\"prompt_tokens\": 1, \"output_tokens\": 1}").find("\"at\" is missing"),
      std::string::npos);
  EXPECT_NE(error_of(good + "{\"at\": 6, \"output_tokens\": 1}").find("one of \"prompt_tokens\""),
            std::string::npos);
  EXPECT_NE(error_of(good + "{\"at\": 6, \"prompt_tokens\": 1}").find("\"max_tokens\""),
            std::string::npos);
  EXPECT_NE(
      error_of(good + "{\"at\": 6, \"prompt_tokens\": -1, \"output_tokens\": 1}").find("1 to"),
      std::string::npos);
  EXPECT_NE(error_of(good + "{\"at\": 6, \"tokens\": 1}").find("not known"), std::string::npos);
  EXPECT_NE(error_of(good + "[1]").find("no JSON object"), std::string::npos);
  EXPECT_NE(error_of(good + "{").find("line 2"), std::string::npos);
  EXPECT_NE(error_of("").find("0 requests"), std::string::npos);
  EXPECT_NE(error_of(good).find("two at least"), std::string::npos);
  EXPECT_NE(error_of(good + good).find("same time"), std::string::npos);
}

TEST(Demand, HasTheMeansOfWhatIsDrawn) {
  Workload workload;
  workload.requests_per_second = 2;
  workload.prompt_tokens = *loadtest::Lengths::parse("uniform:1-199", "");
  workload.output_tokens = *loadtest::Lengths::parse("50", "");
  workload.shared_prefix_tokens = 1000;
  const Demand demand = demand_of(workload);
  EXPECT_NEAR(demand.prompt.mean, 1100, 5);
  EXPECT_NEAR(demand.computed.mean, 100, 5);
  EXPECT_NEAR(demand.computed.p90, 180, 8);
  EXPECT_EQ(demand.output.mean, 50);
  EXPECT_EQ(demand.output.p99, 50);
}

TEST(Demand, HasTheRateOfATrace) {
  Workload workload;
  workload.trace = {{.at = 0, .prompt_tokens = 10, .output_tokens = 5},
                    {.at = 2, .prompt_tokens = 20, .output_tokens = 5},
                    {.at = 4, .prompt_tokens = 30, .output_tokens = 50}};
  const Demand demand = demand_of(workload);
  EXPECT_EQ(demand.requests_per_second, 0.5);
  EXPECT_EQ(demand.prompt.mean, 20);
  EXPECT_EQ(demand.largest_sum, 80);
}

TEST(Wishes, ThatMakeNoSenseAreRefused) {
  const auto with = [](auto member, auto value) {
    Wishes wishes;
    wishes.*member = value;
    return validate(wishes).has_value();
  };
  EXPECT_TRUE(validate(Wishes{}));
  EXPECT_FALSE(with(&Wishes::ttft_ms, -1.0));
  EXPECT_FALSE(with(&Wishes::itl_ms, NAN));
  EXPECT_FALSE(with(&Wishes::percentile, 100.0));
  EXPECT_FALSE(with(&Wishes::context, int64_t{1}));
  EXPECT_FALSE(with(&Wishes::least_quality, 101.0));
  EXPECT_TRUE(with(&Wishes::least_quality, 50.0));
  EXPECT_FALSE(with(&Wishes::modality, "smell"));
  EXPECT_FALSE(with(&Wishes::usd_per_hour, -3.0));
}

}  // namespace
}  // namespace fathom::plan
