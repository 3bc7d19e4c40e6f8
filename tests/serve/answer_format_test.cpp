// response_format and text.format, over real connections: what a model of random weights says obeys
// them, so it is not the model's doing.
#include <gtest/gtest.h>

#include <regex>

#include "serve/server_fixture.h"

namespace fathom::serve {
namespace {

using test::body_of;
using test::events_of;
using test::Json;
using test::status_of;
using test::TestServer;

const Json kSchema = {{"type", "object"},
                      {"properties",
                       {{"verdict", {{"enum", {"yes", "no"}}}},
                        {"count", {{"type", "integer"}, {"minimum", 0}, {"maximum", 99}}}}},
                      {"required", {"verdict", "count"}},
                      {"additionalProperties", false}};

// A model that thinks may do so first; this one would never come to an end of it.
const Json kNoThoughts = {{"3", -100}};

Json chat_body(const Json& format, int seed = 1) {
  return {{"messages", {{{"role", "user"}, {"content", "Hello"}}}},
          {"max_tokens", 1000},
          {"temperature", 1},
          {"seed", seed},
          {"logit_bias", kNoThoughts},
          {"response_format", format}};
}

Json schema_format() {
  return {{"type", "json_schema"},
          {"json_schema", {{"name", "verdict"}, {"strict", true}, {"schema", kSchema}}}};
}

void expect_verdict(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  ASSERT_TRUE(json.is_object()) << text;
  EXPECT_EQ(json.size(), 2U) << text;
  EXPECT_TRUE(json["verdict"] == "yes" || json["verdict"] == "no") << text;
  EXPECT_TRUE(json["count"].is_number_integer()) << text;
  EXPECT_LE(json["count"], 99) << text;
}

TEST(AnswerFormat, ChatsObeyASchema) {
  const TestServer server;
  for (int seed = 0; seed < 5; ++seed) {
    Json body = chat_body(schema_format(), seed);
    body["n"] = 2;
    const Json answer = server.post_json("/v1/chat/completions", body);
    for (const Json& choice : answer["choices"]) {
      expect_verdict(choice["message"]["content"]);
      EXPECT_EQ(choice["finish_reason"], "stop");
    }
  }
}

TEST(AnswerFormat, IsTheSameInAStream) {
  const TestServer server;
  Json body = chat_body(schema_format());
  const Json whole = server.post_json("/v1/chat/completions", body);
  body["stream"] = true;
  std::string text;
  std::string reason;
  for (const Json& event : events_of(server.post("/v1/chat/completions", body.dump()))) {
    const Json& choice = event["choices"][0];
    text += choice["delta"].value("content", "");
    if (!choice["finish_reason"].is_null()) reason = choice["finish_reason"];
  }
  expect_verdict(text);
  EXPECT_EQ(whole["choices"][0]["message"]["content"], text);
  EXPECT_EQ(reason, "stop");
}

TEST(AnswerFormat, FollowsExpressionsAndGrammars) {
  const TestServer server;
  Json body = chat_body({{"type", "regex"}, {"regex", "(red|green) [0-9]{3}"}});
  std::string text =
      server.post_json("/v1/chat/completions", body)["choices"][0]["message"]["content"];
  EXPECT_TRUE(std::regex_match(text, std::regex("(red|green) [0-9]{3}"))) << text;
  body = chat_body({{"type", "grammar"}, {"grammar", "start: \"(\" start \")\" | \"x\""}});
  text = server.post_json("/v1/chat/completions", body)["choices"][0]["message"]["content"];
  const size_t depth = text.find('x');
  EXPECT_EQ(text, std::string(depth, '(') + "x" + std::string(depth, ')'));
}

TEST(AnswerFormat, HoldsForCompletionsAndResponses) {
  const TestServer server;
  const Json completion = server.post_json(
      "/v1/completions",
      {{"prompt", {"One", "Two"}}, {"max_tokens", 1000}, {"response_format", schema_format()}});
  for (const Json& choice : completion["choices"]) expect_verdict(choice["text"]);
  const Json format = {{"type", "json_schema"}, {"name", "verdict"}, {"schema", kSchema}};
  const Json response = server.post_json("/v1/responses", {{"input", "Hello"},
                                                           {"max_output_tokens", 1000},
                                                           {"logit_bias", kNoThoughts},
                                                           {"text", {{"format", format}}}});
  expect_verdict(response["output"][0]["content"][0]["text"]);
  EXPECT_EQ(response["text"]["format"], format);
}

TEST(AnswerFormat, BeginsAfterTheThoughts) {
  const TestServer server({.thinks = true});
  // Free thoughts never end in this model; closing them is made likely, all else is chance.
  Json body = chat_body(schema_format());
  body["logit_bias"] = {{"4", 100}};
  const Json message = server.post_json("/v1/chat/completions", body)["choices"][0]["message"];
  expect_verdict(message["content"]);
}

TEST(AnswerFormat, GivesTheModelsOwnLogprobs) {
  const TestServer server;
  Json body = chat_body({{"type", "regex"}, {"regex", "q"}});
  body["logprobs"] = true;
  body["top_logprobs"] = 1;
  const Json choice = server.post_json("/v1/chat/completions", body)["choices"][0];
  const Json token = choice["logprobs"]["content"].at(0);
  EXPECT_EQ(token["token"], "q");
  // Under the constraint alone it would be certain.
  EXPECT_LT(token["logprob"], 0);
  EXPECT_GE(token["top_logprobs"][0]["logprob"], token["logprob"]);
}

TEST(AnswerFormat, RefusesWhatCannotBeCompiled) {
  const TestServer server;
  const auto refused = [&](const Json& format, const std::string& param) {
    const std::string response = server.post("/v1/chat/completions", chat_body(format).dump());
    EXPECT_EQ(status_of(response), 400) << response;
    EXPECT_EQ(Json::parse(body_of(response))["error"]["param"], param) << response;
  };
  const auto schema = [](const Json& text) -> Json {
    return {{"type", "json_schema"}, {"json_schema", {{"name", "s"}, {"schema", text}}}};
  };
  refused(schema({{"type", "elephant"}}), "response_format");
  refused(schema({{"$ref", "#/$defs/none"}}), "response_format");
  refused({{"type", "regex"}, {"regex", "a("}}, "response_format");
  refused({{"type", "grammar"}, {"grammar", "start: nothing"}}, "response_format");
  refused({{"type", "regex"}, {"regex", std::string(5000, 'a')}}, "response_format");
  refused({{"type", "xml"}}, "response_format.type");
  refused({{"type", "regex"}}, "response_format.regex");
  refused({{"type", "text"}, {"regex", "a"}}, "response_format.regex");
  refused({{"type", "json_schema"}}, "response_format");
  refused({{"type", "json_schema"}, {"json_schema", {{"name", "a b"}, {"schema", kSchema}}}},
          "response_format.json_schema.name");
  refused(schema("text"), "response_format.json_schema.schema");
  // The server goes on.
  EXPECT_EQ(server.post_json("/v1/chat/completions", chat_body({{"type", "text"}}))["object"],
            "chat.completion");
}

}  // namespace
}  // namespace fathom::serve
