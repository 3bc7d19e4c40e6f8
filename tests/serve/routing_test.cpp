// Requests to the model "auto": who answers, what is said about it, what the ledger counts.
#include "serve/routing.h"

#include <gtest/gtest.h>

#include "serve/server_fixture.h"

namespace fathom::serve {
namespace {

using test::body_of;
using test::events_of;
using test::Json;
using test::ServerOptions;
using test::status_of;
using test::TestServer;

Json question(const std::string& model = "auto") {
  return {{"model", model},
          {"messages", {{{"role", "user"}, {"content", "Hello"}}}},
          {"max_tokens", 24},
          {"temperature", 0},
          {"seed", 1}};
}

// The first model, "tiny", is the large one.
ServerOptions routed(route::Policy policy) {
  policy.lite = "lite";
  policy.v1 = "tiny";
  ServerOptions options;
  options.others = {"lite"};
  options.serve.route = policy;
  return options;
}

route::Policy with_threshold(double threshold, route::Judge judge = route::Judge::kFirstTokens) {
  return {.judge = judge, .tokens = 4, .threshold = threshold};
}

std::string chat(const TestServer& server, const Json& body) {
  return server.post("/v1/chat/completions", body.dump());
}

bool says(const std::string& response, const std::string& header) {
  return response.find(header) != std::string::npos;
}

TEST(Routing, ASureAnswerOfLiteStays) {
  for (const auto judge : {route::Judge::kFirstTokens, route::Judge::kWholeAnswer}) {
    const TestServer server(routed(with_threshold(0, judge)));
    const std::string response = chat(server, question());
    ASSERT_EQ(status_of(response), 200) << response;
    EXPECT_TRUE(says(response, "x-fathom-model: lite\r\n")) << response;
    EXPECT_TRUE(says(response, "x-fathom-route: lite; confidence=")) << response;
    const Json answer = Json::parse(body_of(response));
    EXPECT_EQ(answer["model"], "lite");
    EXPECT_EQ(answer["choices"],
              server.post_json("/v1/chat/completions", question("lite"))["choices"]);
    EXPECT_TRUE(server.metric_becomes("fathom_requests_total{model=\"tiny\"}", 0));
  }
}

TEST(Routing, AnUnsureAnswerComesFromTheLargeModelInstead) {
  const TestServer server(routed(with_threshold(1)));
  const std::string response = chat(server, question());
  ASSERT_EQ(status_of(response), 200) << response;
  EXPECT_TRUE(says(response, "x-fathom-model: tiny\r\n")) << response;
  EXPECT_TRUE(says(response, "x-fathom-route: v1; confidence=")) << response;
  EXPECT_EQ(Json::parse(body_of(response))["model"], "tiny");
  // Lite was stopped soon after its fourth token, not after the 24th.
  EXPECT_TRUE(server.metric_becomes("fathom_batch_answers{model=\"lite\"}", 0));
}

TEST(Routing, AStreamHoldsWhatAWholeAnswerHolds) {
  for (const double threshold : {0.0, 1.0}) {
    const TestServer server(routed(with_threshold(threshold)));
    Json body = question();
    const Json whole = Json::parse(body_of(chat(server, body)));
    body["stream"] = true;
    const std::string response = chat(server, body);
    EXPECT_TRUE(says(response, "x-fathom-route: ")) << response;
    std::string text;
    for (const Json& event : events_of(response)) {
      EXPECT_EQ(event["model"], whole["model"]);
      text += event["choices"][0]["delta"].value("content", "");
    }
    EXPECT_EQ(text, whole["choices"][0]["message"]["content"].get<std::string>());
  }
}

TEST(Routing, SeveralAnswersAreJudgedTogether) {
  const TestServer server(routed(with_threshold(0)));
  Json body = question();
  body["n"] = 3;
  body["temperature"] = 1;
  const Json answer = Json::parse(body_of(chat(server, body)));
  EXPECT_EQ(answer["choices"].size(), 3U);
  body["model"] = "lite";
  EXPECT_EQ(answer["choices"], server.post_json("/v1/chat/completions", body)["choices"]);
}

TEST(Routing, ScoresAreShownToWhomAskedForThem) {
  const TestServer server(routed(with_threshold(0)));
  Json body = question();
  EXPECT_TRUE(Json::parse(body_of(chat(server, body)))["choices"][0]["logprobs"].is_null());
  body["logprobs"] = true;
  const Json answer = Json::parse(body_of(chat(server, body)));
  EXPECT_FALSE(answer["choices"][0]["logprobs"]["content"].empty());
}

TEST(Routing, RulesAskTheLargeModelAtOnce) {
  route::Policy policy = with_threshold(0);
  policy.rules = {.prompt_tokens = 60, .classes = {"finance"}};
  const TestServer server(routed(policy));
  EXPECT_TRUE(says(chat(server, question()), "x-fathom-model: lite"));
  Json classed = question();
  classed["metadata"] = {{"class", "finance"}};
  EXPECT_TRUE(says(chat(server, classed), "x-fathom-route: v1; rule=class\r\n"));
  Json sport = question();
  sport["metadata"] = {{"class", "sport"}};
  EXPECT_TRUE(says(chat(server, sport), "x-fathom-model: lite"));
  Json longer = question();
  longer["messages"][0]["content"] = std::string(400, 'a');
  EXPECT_TRUE(says(chat(server, longer), "x-fathom-route: v1; rule=length\r\n"));
}

TEST(Routing, WorksForCompletionsAndResponsesToo) {
  const TestServer server(routed(with_threshold(1)));
  const std::string completion = server.post(
      "/v1/completions", Json{{"model", "auto"}, {"prompt", "Once"}, {"max_tokens", 8}}.dump());
  EXPECT_TRUE(says(completion, "x-fathom-model: tiny")) << completion;
  const std::string response = server.post(
      "/v1/responses", Json{{"model", "auto"}, {"input", "Once"}, {"max_output_tokens", 8}}.dump());
  EXPECT_TRUE(says(response, "x-fathom-model: tiny")) << response;
}

TEST(Routing, TheLedgerCountsBothTiersAndWhatWasSaved) {
  ServerOptions options = routed(with_threshold(0));
  options.serve.prices = *Prices::parse(
      R"({"lite": {"input": 1, "output": 1}, "tiny": {"input": 10, "output": 10}})", "prices.json");
  {
    const TestServer server(options);
    chat(server, question());
    const Json total = server.get_json("/v1/usage")["total"];
    EXPECT_EQ(total["requests"], 1);
    EXPECT_EQ(total["routed"], 1);
    EXPECT_EQ(total["kept_by_lite"], 1);
    EXPECT_NEAR(total["saved_usd"], 9 * total["cost_usd"].get<double>(), 1e-12);
  }
  options.serve.route->threshold = 1;
  const TestServer server(options);
  chat(server, question());
  ASSERT_TRUE(server.metric_becomes("fathom_batch_answers{model=\"lite\"}", 0));
  const Json usage = server.get_json("/v1/usage");
  EXPECT_EQ(usage["total"]["requests"], 1);
  EXPECT_EQ(usage["total"]["routed"], 1);
  EXPECT_EQ(usage["total"]["kept_by_lite"], 0);
  EXPECT_LT(usage["total"]["saved_usd"], 0) << "what Lite had computed in vain";
  ASSERT_EQ(usage["data"].size(), 2U);
  EXPECT_EQ(usage["data"][0]["model"], "lite");
  EXPECT_EQ(usage["data"][0]["requests"], 0);
  EXPECT_GE(usage["data"][0]["completion_tokens"], 4);
}

TEST(Routing, AClientThatLeavesStopsLiteBeforeItIsJudged) {
  ServerOptions options = routed(with_threshold(0, route::Judge::kWholeAnswer));
  options.endless = true;
  const TestServer server(options);
  Json body = question();
  body.erase("max_tokens");
  {
    test::RawClient client(server.port());
    client.send(test::http_request("POST", "/v1/chat/completions", body.dump()));
    ASSERT_TRUE(server.metric_becomes("fathom_batch_answers{model=\"lite\"}", 1));
  }
  EXPECT_TRUE(server.metric_becomes("fathom_batch_answers{model=\"lite\"}", 0));
  EXPECT_TRUE(server.metric_becomes("fathom_requests_total{model=\"tiny\"}", 0));
}

TEST(Routing, IsForAnswersAlone) {
  const TestServer server(routed(with_threshold(0)));
  for (const auto& [path, body] :
       {std::pair<const char*, Json>{"/v1/embeddings", {{"model", "auto"}, {"input", "x"}}},
        {"/tokenize", {{"model", "auto"}, {"content", "x"}}},
        {"/v1/completions", {{"model", "auto"}, {"prompt", {"a", "b"}}}}}) {
    EXPECT_EQ(status_of(server.post(path, body.dump())), 400) << path;
  }
  EXPECT_EQ(server.get_json("/v1/models")["data"].back()["id"], "auto");
}

TEST(Routing, NeedsBothModels) {
  ServerOptions options = routed(with_threshold(0));
  options.others = {"other"};
  EXPECT_THROW(TestServer{options}, std::runtime_error);
  const auto missing = Routing::make({.lite = "a", .v1 = "b"}, {});
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("NAME=MODEL"), std::string::npos);
}

}  // namespace
}  // namespace fathom::serve
