// A server that guesses ahead answers as one that does not.
#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

#include "serve/server_fixture.h"

namespace fathom::serve {
namespace {

using test::events_of;
using test::Json;
using test::TestServer;

Model tiny() {
  LoadOptions load;
  load.threads = 1;
  auto model = Model::load(test::talking_model(), load);
  if (!model) throw std::runtime_error(model.error().message);
  return *std::move(model);
}

test::ServerOptions guessing(const Speculation& speculation) {
  test::ServerOptions options;
  options.serve.engine.speculation = speculation;
  return options;
}

std::vector<test::ServerOptions> ways() {
  return {guessing({.method = Speculation::Method::kLookup}),
          guessing({.method = Speculation::Method::kDraftModel, .draft = tiny()})};
}

Json chat(const std::string& text, int seed) {
  return {{"messages", {{{"role", "user"}, {"content", text}}}},
          {"max_tokens", 80},
          {"temperature", seed % 2},
          {"seed", seed},
          {"logit_bias", {{"3", -100}}}};
}

TEST(ServerSpeculation, AnswersStayTheSame) {
  const TestServer plain;
  for (const auto& way : ways()) {
    const TestServer server(way);
    std::vector<std::thread> threads;
    std::vector<Json> answers(6);
    for (size_t i = 0; i < answers.size(); ++i) {
      threads.emplace_back([&, i] {
        answers[i] =
            server.post_json("/v1/chat/completions", chat("Hello hello", static_cast<int>(i)));
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (size_t i = 0; i < answers.size(); ++i) {
      const Json expected =
          plain.post_json("/v1/chat/completions", chat("Hello hello", static_cast<int>(i)));
      EXPECT_EQ(answers[i]["choices"], expected["choices"]) << i;
      EXPECT_EQ(answers[i]["usage"]["completion_tokens"], expected["usage"]["completion_tokens"]);
    }
  }
}

TEST(ServerSpeculation, FormatsAndStopStringsHoldAndAreTheSame) {
  const Json schema = {{"type", "object"},
                       {"properties",
                        {{"verdict", {{"enum", {"yes", "no"}}}},
                         {"counts",
                          {{"type", "array"},
                           {"items", {{"type", "integer"}, {"minimum", 0}, {"maximum", 99}}},
                           {"minItems", 12},
                           {"maxItems", 20}}}}},
                       {"required", {"verdict", "counts"}},
                       {"additionalProperties", false}};
  const TestServer plain;
  for (const auto& way : ways()) {
    const TestServer server(way);
    for (int seed = 0; seed < 4; ++seed) {
      Json body = chat("Judge", seed);
      body["max_tokens"] = 2000;
      body["response_format"] = {{"type", "json_schema"},
                                 {"json_schema", {{"name", "verdict"}, {"schema", schema}}}};
      const Json answer = server.post_json("/v1/chat/completions", body);
      EXPECT_EQ(answer["choices"], plain.post_json("/v1/chat/completions", body)["choices"]);
      const Json document =
          Json::parse(answer["choices"][0]["message"]["content"].get<std::string>());
      EXPECT_GE(document["counts"].size(), 12U);

      body.erase("response_format");
      body["max_tokens"] = 80;
      body["stop"] = {"a", "the"};
      EXPECT_EQ(server.post_json("/v1/chat/completions", body)["choices"],
                plain.post_json("/v1/chat/completions", body)["choices"]);
    }
  }
}

TEST(ServerSpeculation, StreamsAsMuchAsItCounts) {
  for (const auto& way : ways()) {
    const TestServer server(way);
    Json body = chat("Hello", 0);
    body["stream"] = true;
    body["logprobs"] = true;
    body["stream_options"] = {{"include_usage", true}};
    size_t scored = 0;
    Json usage;
    for (const Json& event : events_of(server.post("/v1/chat/completions", body.dump()))) {
      if (!event["usage"].is_null()) usage = event["usage"];
      if (event["choices"].empty() || event["choices"][0]["logprobs"].is_null()) continue;
      scored += event["choices"][0]["logprobs"]["content"].size();
    }
    EXPECT_EQ(usage["completion_tokens"], scored);
  }
}

TEST(ServerSpeculation, IsCountedForEachModelAndTheDraftModelAnswersToo) {
  const Model lite = tiny();
  ServeOptions options;
  options.http.port = 0;
  options.log = LogFormat::kNone;
  options.keep_ledger = false;
  options.engine.kv_memory = int64_t{64} << 20;
  options.engine.context = 1000;
  options.engine.speculation = {.method = Speculation::Method::kDraftModel, .draft = lite};
  const auto server = Server::start({{"v1", tiny()}, {"lite", lite}}, options);
  ASSERT_TRUE(server) << server.error().message;
  const auto ask = [&](std::string_view method, std::string_view path, const std::string& body) {
    return test::body_of(test::ask((*server)->port(), test::http_request(method, path, body, {})));
  };
  Json body = chat("Hello", 0);
  body["ignore_eos"] = true;
  body["max_tokens"] = 200;
  std::vector<Json> choices;
  for (const char* model : {"v1", "lite"}) {
    body["model"] = model;
    choices.push_back(Json::parse(ask("POST", "/v1/chat/completions", body.dump()))["choices"]);
  }
  EXPECT_EQ(choices[0], choices[1]) << "the same weights";
  const std::string metrics = ask("GET", "/metrics", {});
  EXPECT_NE(metrics.find("fathom_drafted_tokens_total{model=\"lite\"} 0\n"), std::string::npos);
  EXPECT_EQ(metrics.find("fathom_drafted_tokens_total{model=\"v1\"} 0\n"), std::string::npos);
  EXPECT_NE(metrics.find("fathom_accepted_tokens_total{model=\"v1\"}"), std::string::npos);
}

}  // namespace
}  // namespace fathom::serve
