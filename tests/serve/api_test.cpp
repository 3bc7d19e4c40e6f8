// The endpoints, over real connections.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "fathom/fathom.h"
#include "serve/server_fixture.h"

namespace fathom::serve {
namespace {

using test::body_of;
using test::events_of;
using test::Json;
using test::ServerOptions;
using test::status_of;
using test::TestServer;

Json chat_body(const std::string& text = "Hello") {
  return {{"messages", {{{"role", "user"}, {"content", text}}}},
          {"max_tokens", 20},
          {"temperature", 0},
          {"seed", 1}};
}

// What a Session says, which takes none of the server's paths.
Answer session_answer(const std::string& text) {
  const auto model = Model::load(test::talking_model(), {.threads = 1, .on_progress = {}});
  Session session(*model);
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.max_tokens = 20;
  return *session.chat({{"user", text}}, options);
}

TEST(Chat, AnswersAsASessionDoes) {
  const TestServer server;
  const Answer expected = session_answer("Hello");
  const Json answer = server.post_json("/v1/chat/completions", chat_body());
  EXPECT_EQ(answer["object"], "chat.completion");
  EXPECT_EQ(answer["model"], "tiny");
  const Json& choice = answer["choices"].at(0);
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_EQ(choice["message"]["content"], expected.text);
  EXPECT_EQ(choice["finish_reason"], std::string(name(expected.finish)));
  EXPECT_EQ(answer["usage"]["prompt_tokens"], expected.prompt_tokens);
  EXPECT_EQ(answer["usage"]["completion_tokens"], expected.tokens.size());
  EXPECT_EQ(answer["usage"]["total_tokens"], expected.prompt_tokens + expected.tokens.size());
}

TEST(Chat, StreamsWhatItWouldSayWhole) {
  const TestServer server;
  Json body = chat_body();
  body["n"] = 2;
  body["temperature"] = 1;
  const Json whole = server.post_json("/v1/chat/completions", body);
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const std::string response = server.post("/v1/chat/completions", body.dump());
  EXPECT_NE(response.find("Content-Type: text/event-stream"), std::string::npos);
  std::map<int, std::string> texts;
  std::map<int, std::string> reasons;
  std::map<int, int> roles;
  Json usage;
  for (const Json& event : events_of(response)) {
    EXPECT_EQ(event["object"], "chat.completion.chunk");
    if (event["choices"].empty()) {
      usage = event["usage"];
      continue;
    }
    EXPECT_TRUE(event["usage"].is_null());
    const Json& choice = event["choices"][0];
    const int index = choice["index"];
    const Json& delta = choice["delta"];
    if (delta.contains("role")) roles[index]++;
    if (delta.contains("content")) texts[index] += delta["content"].get<std::string>();
    if (!choice["finish_reason"].is_null()) reasons[index] = choice["finish_reason"];
  }
  ASSERT_EQ(texts.size(), 2U);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(whole["choices"][i]["message"]["content"], texts[i]);
    EXPECT_EQ(whole["choices"][i]["finish_reason"], reasons[i]);
    EXPECT_EQ(roles[i], 1);
  }
  EXPECT_NE(texts[0], texts[1]);
  EXPECT_EQ(usage["completion_tokens"], whole["usage"]["completion_tokens"]);
  EXPECT_EQ(usage["prompt_tokens"], whole["usage"]["prompt_tokens"]);
}

TEST(Chat, EndsBeforeAStopString) {
  const TestServer server;
  const std::string text =
      server.post_json("/v1/chat/completions", chat_body())["choices"][0]["message"]["content"];
  ASSERT_GT(text.size(), 6U);
  Json body = chat_body();
  body["stop"] = text.substr(4, 2);
  const Json answer = server.post_json("/v1/chat/completions", body);
  EXPECT_EQ(answer["choices"][0]["message"]["content"],
            text.substr(0, text.find(text.substr(4, 2))));
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "stop");
}

TEST(Chat, TellsReasoningFromTheAnswer) {
  const TestServer server({.thinks = true});
  Json body = chat_body();
  const Json message = server.post_json("/v1/chat/completions", body)["choices"][0]["message"];
  const std::string thoughts = message.value("reasoning_content", "");
  EXPECT_NE(thoughts, "");
  EXPECT_EQ(message["content"].get<std::string>().find("think>"), std::string::npos);
  body["stream"] = true;
  std::string streamed_thoughts;
  std::string streamed;
  for (const Json& event : events_of(server.post("/v1/chat/completions", body.dump()))) {
    const Json& delta = event["choices"][0]["delta"];
    streamed_thoughts += delta.value("reasoning_content", "");
    streamed += delta.value("content", "");
  }
  EXPECT_EQ(streamed_thoughts, thoughts);
  EXPECT_EQ(streamed, message["content"].get<std::string>());
}

TEST(Chat, GivesLogprobsOfEveryToken) {
  const TestServer server;
  Json body = chat_body();
  body["logprobs"] = true;
  body["top_logprobs"] = 3;
  const Json answer = server.post_json("/v1/chat/completions", body);
  const Json& content = answer["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), answer["usage"]["completion_tokens"].get<size_t>());
  std::string text;
  for (const Json& token : content) {
    for (const Json& byte : token["bytes"]) text += static_cast<char>(byte.get<int>());
    ASSERT_EQ(token["top_logprobs"].size(), 3U);
    // At temperature 0 the token is the likeliest.
    EXPECT_EQ(token["top_logprobs"][0]["token"], token["token"]);
    EXPECT_EQ(token["top_logprobs"][0]["logprob"], token["logprob"]);
    EXPECT_LE(token["top_logprobs"][1]["logprob"], token["logprob"]);
    EXPECT_LE(token["logprob"], 0);
  }
  EXPECT_TRUE(text.starts_with(answer["choices"][0]["message"]["content"].get<std::string>()));
  body["stream"] = true;
  size_t streamed = 0;
  for (const Json& event : events_of(server.post("/v1/chat/completions", body.dump()))) {
    const Json& scores = event["choices"][0]["logprobs"];
    if (!scores.is_null()) streamed += scores["content"].size();
  }
  EXPECT_EQ(streamed, content.size());
}

TEST(Chat, ObeysLogitBias) {
  const TestServer server;
  const Json tokens = server.post_json("/tokenize", {{"content", "Z"}, {"add_special", false}});
  Json body = chat_body();
  body["logit_bias"] = {{std::to_string(tokens["tokens"][0].get<int>()), 100}};
  const Json answer = server.post_json("/v1/chat/completions", body);
  EXPECT_EQ(answer["choices"][0]["message"]["content"], std::string(20, 'Z'));
  body["logit_bias"] = {{"1000000", 1}};
  const std::string refused = server.post("/v1/chat/completions", body.dump());
  EXPECT_EQ(status_of(refused), 400);
  EXPECT_EQ(Json::parse(body_of(refused))["error"]["param"], "logit_bias");
}

TEST(Completions, AnswerSeveralPromptsInTheirOrder) {
  const TestServer server;
  Json body = {{"prompt", {"ab", "cd"}}, {"max_tokens", 8}, {"temperature", 0}};
  const Json both = server.post_json("/v1/completions", body);
  ASSERT_EQ(both["choices"].size(), 2U);
  for (int i = 0; i < 2; ++i) {
    body["prompt"] = i == 0 ? "ab" : "cd";
    const Json one = server.post_json("/v1/completions", body);
    EXPECT_EQ(both["choices"][i]["text"], one["choices"][0]["text"]);
    EXPECT_EQ(both["choices"][i]["index"], i);
  }
  body["prompt"] = server.post_json("/tokenize", {{"content", "ab"}})["tokens"];
  EXPECT_EQ(server.post_json("/v1/completions", body)["choices"][0]["text"],
            both["choices"][0]["text"]);
}

TEST(Completions, ShowTheBestOfSeveralAnswers) {
  const TestServer server;
  Json body = {{"prompt", "abc"}, {"max_tokens", 12}, {"temperature", 1.5},
               {"seed", 3},       {"n", 6},           {"logprobs", 0}};
  const Json all = server.post_json("/v1/completions", body);
  std::multimap<double, std::string> ranked;
  for (const Json& choice : all["choices"]) {
    const auto scores = choice["logprobs"]["token_logprobs"].get<std::vector<double>>();
    double sum = 0;
    for (const double score : scores) sum += score;
    ranked.emplace(scores.empty() ? 1e9 : -sum / static_cast<double>(scores.size()),
                   choice["text"]);
  }
  body.erase("logprobs");
  body["n"] = 2;
  body["best_of"] = 6;
  const Json best = server.post_json("/v1/completions", body);
  ASSERT_EQ(best["choices"].size(), 2U);
  EXPECT_EQ(best["choices"][0]["text"], ranked.begin()->second);
  EXPECT_EQ(best["choices"][1]["text"], std::next(ranked.begin())->second);
  EXPECT_EQ(best["choices"][1]["index"], 1);
  EXPECT_TRUE(best["choices"][0]["logprobs"].is_null());
  EXPECT_EQ(best["usage"]["completion_tokens"], all["usage"]["completion_tokens"]);
}

TEST(Completions, GoOnAfterTheEndOfAnAnswerWhereTold) {
  const TestServer server;
  Json body = {{"prompt", "abc"}, {"max_tokens", 300}, {"temperature", 2}, {"seed", 1}};
  EXPECT_EQ(server.post_json("/v1/completions", body)["choices"][0]["finish_reason"], "stop");
  body["ignore_eos"] = true;
  const Json answer = server.post_json("/v1/completions", body);
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(answer["usage"]["completion_tokens"], 300);
}

TEST(Completions, EchoThePromptWithItsLogprobs) {
  const TestServer server;
  const Json body = {
      {"prompt", "abc"}, {"max_tokens", 2}, {"temperature", 0}, {"echo", true}, {"logprobs", 2}};
  const Json answer = server.post_json("/v1/completions", body);
  const Json& choice = answer["choices"][0];
  EXPECT_TRUE(choice["text"].get<std::string>().starts_with("abc")) << answer;
  const size_t count = answer["usage"]["total_tokens"];
  const Json& scores = choice["logprobs"];
  EXPECT_EQ(scores["tokens"].size(), count);
  ASSERT_EQ(scores["token_logprobs"].size(), count);
  EXPECT_TRUE(scores["token_logprobs"][0].is_null());
  // The same as the model's own probabilities.
  const auto model = Model::load(test::talking_model(), {.threads = 1, .on_progress = {}});
  Session session(*model);
  const auto tokens = model->tokenize("abc");
  const auto logits = session.logits(*tokens, true);
  for (size_t i = 1; i < tokens->size(); ++i) {
    const auto& row = (*logits)[i - 1];
    double sum = 0;
    for (const float logit : row) sum += std::exp(static_cast<double>(logit));
    const double expected = row[static_cast<size_t>((*tokens)[i])] - std::log(sum);
    EXPECT_NEAR(scores["token_logprobs"][i].get<double>(), expected, 1e-3);
    EXPECT_EQ(scores["top_logprobs"][i].size(), 2U);
  }
  Json stream = {
      {"prompt", "abc"}, {"max_tokens", 2}, {"temperature", 0}, {"echo", true}, {"stream", true}};
  std::string streamed;
  for (const Json& event : events_of(server.post("/v1/completions", stream.dump()))) {
    streamed += event["choices"][0]["text"];
  }
  EXPECT_EQ(choice["text"], streamed);
}

TEST(Responses, AnswerWholeAndInEvents) {
  const TestServer server;
  Json body = {{"input", "Hello"}, {"max_output_tokens", 20}, {"temperature", 0}};
  const Json whole = server.post_json("/v1/responses", body);
  EXPECT_EQ(whole["object"], "response");
  const std::string text = whole["output"].back()["content"][0]["text"];
  EXPECT_EQ(text, session_answer("Hello").text);
  body["stream"] = true;
  const auto events = events_of(server.post("/v1/responses", body.dump()), false);
  std::string streamed;
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i]["sequence_number"], i);
    if (events[i]["type"] == "response.output_text.delta") {
      streamed += events[i]["delta"].get<std::string>();
    }
  }
  EXPECT_EQ(streamed, text);
  EXPECT_EQ(events.front()["type"], "response.created");
  const Json& last = events.back();
  EXPECT_EQ(last["type"], std::string("response.") + whole["status"].get<std::string>());
  EXPECT_EQ(last["response"]["output"].back()["content"][0]["text"], text);
  EXPECT_EQ(last["response"]["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
}

TEST(Embeddings, HaveLengthOneAndAreEqualInBothEncodings) {
  const TestServer server;
  const Json body = {{"input", {"abc", "xyz"}}};
  const Json answer = server.post_json("/v1/embeddings", body);
  ASSERT_EQ(answer["data"].size(), 2U);
  for (const Json& item : answer["data"]) {
    double sum = 0;
    for (const Json& value : item["embedding"]) sum += std::pow(value.get<double>(), 2);
    EXPECT_NEAR(sum, 1, 1e-5);
  }
  EXPECT_NE(answer["data"][0]["embedding"], answer["data"][1]["embedding"]);
  const Json encoded = server.post_json(
      "/v1/embeddings", {{"input", "abc"}, {"encoding_format", "base64"}, {"pooling", "mean"}});
  const std::string text = encoded["data"][0]["embedding"];
  EXPECT_EQ(text.size(), (answer["data"][0]["embedding"].size() * 4 + 2) / 3 * 4);
  // The first value: four bytes in the first six digits.
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint64_t bits = 0;
  for (size_t i = 0; i < 6; ++i) bits = bits << 6 | kDigits.find(text[i]);
  const auto swapped = __builtin_bswap32(static_cast<uint32_t>(bits >> 4));
  float value = 0;
  std::memcpy(&value, &swapped, sizeof(value));
  EXPECT_FLOAT_EQ(value, answer["data"][0]["embedding"][0].get<float>());
}

TEST(Tokenize, GoesThereAndBack) {
  const TestServer server;
  const Json tokens = server.post_json("/tokenize", {{"content", "Hello, you"}});
  EXPECT_EQ(tokens["count"], tokens["tokens"].size());
  const Json text = server.post_json("/detokenize", {{"tokens", tokens["tokens"]}});
  EXPECT_EQ(text["content"], "Hello, you");
  EXPECT_EQ(status_of(server.post("/detokenize", R"({"tokens":[99999]})")), 400);
}

TEST(Models, AreListedAndFoundByName) {
  const TestServer server;
  EXPECT_EQ(server.get_json("/v1/models")["data"][0]["id"], "tiny");
  EXPECT_EQ(server.get_json("/v1/models/tiny")["id"], "tiny");
  EXPECT_EQ(status_of(server.get("/v1/models/other")), 404);
  Json body = chat_body();
  body["model"] = "tiny";
  EXPECT_EQ(status_of(server.post("/v1/chat/completions", body.dump())), 200);
  body["model"] = "gpt-4";
  const std::string refused = server.post("/v1/chat/completions", body.dump());
  EXPECT_EQ(status_of(refused), 404);
  EXPECT_EQ(Json::parse(body_of(refused))["error"]["code"], "model_not_found");
}

TEST(Server, RefusesWhatItDoesNotServe) {
  const TestServer server;
  EXPECT_EQ(status_of(server.get("/nothing")), 404);
  EXPECT_EQ(status_of(server.get("/v1/../etc/passwd")), 404);
  EXPECT_EQ(status_of(server.get("/v1/%2e%2e/%2e%2e/etc/passwd")), 404);
  EXPECT_EQ(status_of(server.get("/v1/models/../../etc/passwd")), 404);
  EXPECT_EQ(status_of(server.post("/v1/images", "{}")), 404);
  EXPECT_EQ(status_of(server.get("/v1/chat/completions")), 405);
  EXPECT_EQ(status_of(server.post("/v1/models", "{}")), 405);
  EXPECT_EQ(status_of(test::ask(server.port(),
                                "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: "
                                "text/plain\r\nContent-Length: 2\r\n\r\n{}")),
            415);
  const std::string error = server.post("/v1/completions", "{");
  EXPECT_EQ(status_of(error), 400);
  const Json json = Json::parse(body_of(error))["error"];
  EXPECT_EQ(json["type"], "invalid_request_error");
  EXPECT_TRUE(json["param"].is_null());
  EXPECT_TRUE(json["code"].is_null());
}

TEST(Server, RefusesPromptsThatCannotBeAnswered) {
  ServerOptions options;
  options.serve.engine.context = 64;
  const TestServer server(options);
  EXPECT_EQ(status_of(server.post("/v1/completions", R"({"prompt":[]})")), 400);
  EXPECT_EQ(status_of(server.post("/v1/completions", R"({"prompt":[99999]})")), 400);
  const Json body = {{"prompt", std::string(200, 'a')}};
  const std::string refused = server.post("/v1/completions", body.dump());
  EXPECT_EQ(status_of(refused), 400);
  EXPECT_NE(body_of(refused).find("64"), std::string::npos) << refused;
}

TEST(Server, SaysWhatAChatTemplateRefuses) {
  const TestServer server(
      {.chat_template = "{% for m in messages %}{% if loop.index0 % 2 == 1 and m.role == 'user' %}"
                        "{{ raise_exception('Roles must alternate') }}{% endif %}{{ m.content }}"
                        "{% endfor %}"});
  const Json once = {{"role", "user"}, {"content", "a"}};
  const Json alone = {{"messages", Json::array({once})}, {"max_tokens", 1}};
  EXPECT_EQ(status_of(server.post("/v1/chat/completions", alone.dump())), 200);
  const Json twice = {{"messages", Json::array({once, once})}, {"max_tokens", 1}};
  const std::string refused = server.post("/v1/chat/completions", twice.dump());
  EXPECT_EQ(status_of(refused), 400);
  const Json error = Json::parse(body_of(refused))["error"];
  EXPECT_NE(error["message"].get<std::string>().find("Roles must alternate"), std::string::npos);
  EXPECT_EQ(error["param"], "messages");
}

TEST(Server, DescribesEveryPathThatItServes) {
  ServerOptions options;
  options.serve.adapter_folder = std::filesystem::temp_directory_path();
  const TestServer server(options);
  const Json document = server.get_json("/openapi.json");
  EXPECT_EQ(document["openapi"], "3.1.0");
  for (const auto& [path, operations] : document["paths"].items()) {
    if (path.find('{') != std::string::npos) continue;
    for (const auto& [method, operation] : operations.items()) {
      const std::string response =
          method == "get" ? server.get(path) : server.post(path, "{\"x\":1}");
      EXPECT_EQ(status_of(response), method == "get" ? 200 : 400) << path;
      // Every reference leads somewhere.
      const std::string text = operation.dump();
      constexpr std::string_view kReference = "\"$ref\":\"#";
      for (size_t at = text.find(kReference); at != std::string::npos;
           at = text.find(kReference, at + 1)) {
        const size_t begin = at + kReference.size();
        const std::string target = text.substr(begin, text.find('"', begin) - begin);
        EXPECT_TRUE(document.contains(Json::json_pointer(target))) << target;
      }
    }
  }
}

}  // namespace
}  // namespace fathom::serve
