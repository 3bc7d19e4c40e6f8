// POST /v1/plan over HTTP and without it: what it ranks, what it refuses.
#include "serve/plan_api.h"

#include <gtest/gtest.h>

#include "serve/server_fixture.h"
#include "storage/results.h"
#include "temporary_directory.h"

namespace fathom::serve {
namespace {

using test::Json;

Json plan_of(const Json& request) {
  const auto body = answer_plan(request.dump());
  EXPECT_TRUE(body.has_value()) << (body ? "" : body.error().message);
  return body ? Json::parse(*body) : Json();
}

ApiError refusal(std::string_view body) {
  const auto answer = answer_plan(body);
  return answer ? ApiError{.status = 200, .message = {}} : answer.error();
}

TEST(PlanApi, TellsMeasuredScoresFromClaims) {
  const test::TemporaryDirectory folder;
  const std::filesystem::path path = folder.path() / "results.db";
  {
    auto results = EvaluationResults::open(path);
    ASSERT_TRUE(results) << results.error().message;
    const EvaluationKey key{.model = "DeepSeek-LLM-7B-Chat", .precision = "Q4_0", .task = "boolq"};
    ASSERT_TRUE(results->finish(*results->begin(key), 100, {{"score", 0.75}}));
  }
  const Json asked{{"sessions", 1},
                   {"models", {"llm-7b", "v2-lite"}},
                   {"precisions", {"q4_0"}},
                   {"hardware", {"h100-80gb"}}};
  const auto body = answer_plan(asked.dump(), path);
  ASSERT_TRUE(body.has_value());
  const Json plan = Json::parse(*body);
  EXPECT_EQ(plan["quality_task"].get<std::string>(), "boolq");
  for (const Json& row : plan["deployments"]) {
    const bool measured = row["model"].get<std::string>() == "llm-7b";
    EXPECT_EQ(row["quality"]["measured"].get<bool>(), measured);
    EXPECT_EQ(row["quality"]["date"].is_string(), measured);
  }
  Json other = asked;
  other["quality_task"] = "copa";
  const auto refused = answer_plan(other.dump(), path);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().param, "quality_task");
  std::filesystem::remove_all(path.parent_path());
}

TEST(PlanApi, RanksDeploymentsWithTheirCurves) {
  const Json plan =
      plan_of({{"requests_per_second", 2}, {"prompt_tokens", 500}, {"output_tokens", 200}});
  ASSERT_FALSE(plan["deployments"].empty());
  EXPECT_LE(plan["deployments"].size(), 10U);
  EXPECT_GT(plan["candidates"].get<int>(), 50);
  double before = 0;
  for (const Json& row : plan["deployments"]) {
    for (const char* field : {"model", "precision", "hardware", "bound_by", "command"}) {
      EXPECT_TRUE(row[field].is_string()) << field;
    }
    for (const char* field : {"tp", "pp", "ep", "replicas"}) EXPECT_GE(row[field].get<int>(), 1);
    EXPECT_GT(row["memory_bytes"].get<double>(), 0);
    EXPECT_LE(row["memory_bytes"].get<double>(), row["memory"]["device"].get<double>());
    EXPECT_GT(row["ttft_ms"]["p90"].get<double>(), 0);
    if (!row["usd_per_million_requests"].is_null()) {
      EXPECT_GE(row["usd_per_million_requests"].get<double>(), before);
      before = row["usd_per_million_requests"].get<double>();
    }
  }
  const Json& curves = plan["deployments"][0]["curves"];
  EXPECT_GT(curves["ms_over_load"].size(), 3U);
  EXPECT_GT(curves["usd_a_month_over_requests"].size(), 3U);
  for (const char* field : {"constraint", "reason"}) {
    EXPECT_FALSE(plan["ruled_out"][0][field].get<std::string>().empty());
  }
}

TEST(PlanApi, KeepsToNamesWishesAndOrder) {
  const Json plan = plan_of({{"requests_per_second", 1},
                             {"models", {"v2-lite"}},
                             {"precisions", {"q8_0"}},
                             {"hardware", {"h100-80gb", "A100 80GB"}},
                             {"by", "latency"},
                             {"itl_ms", 50}});
  ASSERT_EQ(plan["deployments"].size(), 2U);
  for (const Json& row : plan["deployments"]) {
    EXPECT_EQ(row["model"].get<std::string>(), "v2-lite");
    EXPECT_EQ(row["precision"].get<std::string>(), "q8_0");
    EXPECT_LE(row["itl_ms"]["p90"].get<double>(), 50);
  }
  const Json none = plan_of({{"requests_per_second", 1}, {"ttft_ms", 0.001}});
  EXPECT_TRUE(none["deployments"].empty());
  EXPECT_FALSE(none["ruled_out"].empty());
}

TEST(PlanApi, RefusesWhatItCannotReadAndNamesTheField) {
  EXPECT_EQ(refusal("{").status, 400);
  EXPECT_EQ(refusal("[]").status, 400);
  EXPECT_EQ(refusal("{}").param, "requests_per_second");
  EXPECT_EQ(refusal(R"({"requests_per_second": 1, "sessions": 2})").param, "requests_per_second");
  EXPECT_EQ(refusal(R"({"requests_per_second": -1})").param, "requests_per_second");
  EXPECT_EQ(refusal(R"({"requests_per_second": 1, "prompt_tokens": 0})").param, "prompt_tokens");
  EXPECT_EQ(refusal(R"({"requests_per_second": 1, "by": "luck"})").param, "by");
  EXPECT_EQ(refusal(R"({"requests_per_second": 1, "modality": "smell"})").param, "modality");
  EXPECT_EQ(refusal(R"({"requests_per_second": 1, "hardware": []})").param, "hardware");
  EXPECT_EQ(refusal(R"({"requests_per_second": 1, "precisions": ["q3"]})").param, "precisions");
  EXPECT_EQ(refusal(R"({"requests_per_second": 1, "colour": "red"})").param, "colour");
  const ApiError model = refusal(R"({"requests_per_second": 1, "models": ["v2-light"]})");
  EXPECT_EQ(model.param, "models");
  EXPECT_NE(model.message.find("v2-lite"), std::string::npos) << model.message;
  const ApiError hardware = refusal(R"({"requests_per_second": 1, "hardware": ["a800-120gb"]})");
  EXPECT_EQ(hardware.param, "hardware");
  EXPECT_NE(hardware.message.find("There is no A800 with 120 GB"), std::string::npos);
  const ApiError context =
      refusal(R"({"requests_per_second": 1, "prompt_tokens": 9000, "context": 4096})");
  EXPECT_EQ(context.status, 400);
  EXPECT_NE(context.message.find("4096"), std::string::npos) << context.message;
}

TEST(PlanApi, IsAnEndpointOfTheServer) {
  const test::TestServer server;
  const Json plan = server.post_json("/v1/plan", {{"sessions", 4}, {"hardware", {"h100-80gb"}}});
  EXPECT_EQ(plan["object"].get<std::string>(), "plan");
  EXPECT_FALSE(plan["deployments"].empty());
  EXPECT_EQ(test::status_of(server.get("/v1/plan")), 405);
  EXPECT_TRUE(server.get_json("/openapi.json")["paths"].contains("/v1/plan"));
}

}  // namespace
}  // namespace fathom::serve
