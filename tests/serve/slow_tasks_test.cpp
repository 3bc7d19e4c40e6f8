// What takes seconds before an answer can begin (formats and tools that have to be compiled) keeps
// nobody else waiting, and is refused where too much of it waits.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "serve/server_fixture.h"

namespace fathom::serve {
namespace {

using test::body_of;
using test::Json;
using test::status_of;
using test::TestServer;

Json chat_body() {
  return {{"messages", {{{"role", "user"}, {"content", "Hello"}}}}, {"max_tokens", 4}};
}

Json with(Json body, const Json& fields) {
  body.update(fields);
  return body;
}

Json tools(bool strict) {
  return {{{"type", "function"}, {"function", {{"name", "get_time"}, {"strict", strict}}}}};
}

constexpr auto kTemplate =
    "{% if tools %}{{ tools | tojson }} Call by <tool_call>.\n{% endif %}"
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant]";

TEST(SlowTasks, AreRefusedWhereTooManyWait) {
  test::ServerOptions options{.chat_template = kTemplate};
  options.serve.most_slow_tasks = 0;
  const TestServer server(options);
  const auto refused = [&](const std::string& path, const Json& body) {
    const std::string response = server.post(path, body.dump());
    EXPECT_EQ(status_of(response), 503) << response;
    EXPECT_NE(response.find("Retry-After: "), std::string::npos) << response;
    EXPECT_EQ(Json::parse(body_of(response))["error"]["code"], "overloaded") << response;
  };
  const Json format = {{"response_format", {{"type", "json_object"}}}};
  refused("/v1/chat/completions", with(chat_body(), format));
  refused("/v1/chat/completions", with(chat_body(), {{"tools", tools(true)}}));
  refused("/v1/chat/completions",
          with(chat_body(), {{"tools", tools(false)}, {"tool_choice", "required"}}));
  refused("/v1/completions", with({{"prompt", "Hello"}}, format));
  refused("/v1/responses", {{"input", "Hello"}, {"text", {{"format", {{"type", "json_object"}}}}}});
  // What compiles nothing does not wait for it.
  server.post_json("/v1/chat/completions", chat_body());
  server.post_json("/v1/chat/completions", with(chat_body(), {{"tools", tools(false)}}));
  server.post_json("/v1/completions", {{"prompt", "Hello"}, {"max_tokens", 2}});
  // What is wrong is said at once.
  const Json wrong = {{"response_format", {{"type", "xml"}}}};
  EXPECT_EQ(status_of(server.post("/v1/chat/completions", with(chat_body(), wrong).dump())), 400);
}

// It takes about half a second to compile.
Json large_schema() {
  Json properties = Json::object();
  for (int i = 0; i < 1500; ++i) properties[fmt::format("field_{}", i)] = {{"type", "string"}};
  return {{"type", "object"}, {"properties", properties}};
}

TEST(SlowTasks, KeepNobodyElseWaiting) {
  const TestServer server;
  const Json format = {{"type", "json_schema"},
                       {"json_schema", {{"name", "large"}, {"schema", large_schema()}}}};
  const std::string body = with(chat_body(), {{"response_format", format}}).dump();
  constexpr int kSlow = 4;
  std::atomic<int> ended = 0;
  std::vector<std::jthread> threads;
  threads.reserve(kSlow);
  for (int i = 0; i < kSlow; ++i) {
    threads.emplace_back([&] {
      server.post("/v1/chat/completions", body);
      ++ended;
    });
  }
  EXPECT_TRUE(server.metric_becomes("fathom_connections", kSlow + 1));
  EXPECT_EQ(server.post_json("/tokenize", {{"content", "Hello"}})["count"], 5);
  server.post_json("/v1/embeddings", {{"input", "Hello"}});
  EXPECT_EQ(ended, 0);
}

}  // namespace
}  // namespace fathom::serve
