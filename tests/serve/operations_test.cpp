// What an operator relies on: streams apart from each other, cancellation, limits, keys, CORS, the
// ledger, metrics and a stop that lets answers end.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <sstream>
#include <thread>

#include "serve/api_keys.h"
#include "serve/ledger.h"
#include "serve/server_fixture.h"

namespace fathom::serve {
namespace {

using test::body_of;
using test::events_of;
using test::http_request;
using test::Json;
using test::RawClient;
using test::ServerOptions;
using test::status_of;
using test::TestServer;

std::string completion(const std::string& prompt, int max_tokens, bool stream) {
  return Json{
      {"prompt", prompt}, {"max_tokens", max_tokens}, {"temperature", 0}, {"stream", stream}}
      .dump();
}

std::string text_of(const std::string& response) {
  std::string text;
  for (const Json& event : events_of(response)) text += event["choices"][0]["text"];
  return text;
}

// An answer that does not end by itself, and whose first tokens have come.
std::unique_ptr<RawClient> endless_stream(const TestServer& server, std::string_view headers = {}) {
  auto client = std::make_unique<RawClient>(server.port());
  client->send(http_request("POST", "/v1/completions", completion("a", 90'000, true), headers));
  client->read_until("data: ");
  return client;
}

TEST(Server, KeepsStreamsApart) {
  const TestServer server({.endless = true});
  std::vector<std::string> alone;
  const std::vector<std::string> prompts = {"ab", "xyz", "Hello there", "0123456789"};
  for (const auto& prompt : prompts) {
    alone.push_back(text_of(server.post("/v1/completions", completion(prompt, 200, true))));
    EXPECT_FALSE(alone.back().empty());
  }
  std::vector<std::string> together(prompts.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < prompts.size(); ++i) {
    threads.emplace_back([&, i] {
      together[i] = text_of(server.post("/v1/completions", completion(prompts[i], 200, true)));
    });
  }
  // In the midst of them, some that go wrong.
  for (const char* bad : {"{", "{\"prompt\":[99999]}", "{\"prompt\":\"a\",\"n\":-1}"}) {
    EXPECT_EQ(status_of(server.post("/v1/completions", bad)), 400);
  }
  {
    endless_stream(server);
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(together, alone);
}

TEST(Server, CancelsTheAnswerOfAClientThatGoesAway) {
  const TestServer server({.endless = true});
  {
    endless_stream(server);
  }
  EXPECT_TRUE(server.metric_becomes("fathom_batch_answers", 0));
  EXPECT_TRUE(server.metric_becomes("fathom_answers_cancelled_total", 1));
  {
    // One that is not streamed.
    RawClient client(server.port());
    client.send(http_request("POST", "/v1/completions", completion("a", 90'000, false)));
    ASSERT_TRUE(server.metric_becomes("fathom_batch_answers", 1));
  }
  EXPECT_TRUE(server.metric_becomes("fathom_answers_cancelled_total", 2));
  EXPECT_TRUE(server.metric_becomes("fathom_kv_used_bytes", 0));
}

TEST(Server, SaysWhenToComeBackWhenTheQueueIsFull) {
  ServerOptions options{.endless = true};
  options.serve.engine.max_running = 1;
  options.serve.engine.max_waiting = 1;
  const TestServer server(options);
  const auto running = endless_stream(server);
  RawClient waiting(server.port());
  waiting.send(http_request("POST", "/v1/completions", completion("a", 5, false)));
  ASSERT_TRUE(server.metric_becomes("fathom_queue_answers", 1));
  const std::string refused = server.post("/v1/completions", completion("a", 5, true));
  EXPECT_EQ(status_of(refused), 429);
  EXPECT_NE(refused.find("Retry-After: "), std::string::npos);
  EXPECT_EQ(Json::parse(body_of(refused))["error"]["type"], "rate_limit_error");
  // Several prompts of which the first alone would fit.
  EXPECT_EQ(status_of(server.post("/v1/completions", R"({"prompt":["a","b","c"],"max_tokens":5})")),
            429);
  running->close();
  EXPECT_EQ(status_of(waiting.read_response()), 200);
}

TEST(Server, AsksForKeys) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "keys.db";
  const auto keys = ApiKeys::open(path);
  const std::string key = *(*keys)->create("mine", {.max_concurrent = 1});
  const std::string other = *(*keys)->create("other", {});
  ServerOptions options{.endless = true};
  options.serve.require_keys = true;
  options.serve.database = path;
  const TestServer server(options);
  const std::string header = "Authorization: Bearer " + key + "\r\n";
  const std::string other_header = "authorization: Bearer " + other + "\r\n";

  const std::string without = server.get("/v1/models");
  EXPECT_EQ(status_of(without), 401);
  EXPECT_NE(without.find("WWW-Authenticate: Bearer"), std::string::npos);
  for (const char* bad : {"Authorization: Bearer x\r\n", "Authorization: Basic x\r\n",
                          "Authorization: Bearer \r\n"}) {
    EXPECT_EQ(status_of(server.get("/v1/models", bad)), 401) << bad;
  }
  EXPECT_EQ(status_of(server.get("/metrics")), 401);
  EXPECT_EQ(status_of(server.post("/v1/completions", completion("a", 1, false))), 401);
  for (const char* open : {"/health", "/ready", "/openapi.json"}) {
    EXPECT_EQ(status_of(server.get(open)), 200) << open;
  }
  EXPECT_EQ(status_of(server.get("/v1/models", header)), 200);

  {
    // One request at a time for this key, any number for the other.
    const auto running = endless_stream(server, header);
    const std::string second = server.post("/v1/completions", completion("a", 1, false), header);
    EXPECT_EQ(status_of(second), 429);
    EXPECT_NE(second.find("Retry-After"), std::string::npos);
    EXPECT_EQ(status_of(server.post("/v1/completions", completion("a", 1, false), other_header)),
              200);
  }
  std::string again;
  while (status_of(again) != 200) {  // once the server has seen that the first is gone
    again = server.post("/v1/completions", completion("a", 1, false), header);
    ASSERT_TRUE(status_of(again) == 200 || status_of(again) == 429) << again;
  }
  // Everybody sees their own usage.
  const Json usage = Json::parse(body_of(server.get("/v1/usage", other_header)));
  ASSERT_EQ(usage["data"].size(), 1U) << usage;
  EXPECT_EQ(usage["data"][0]["key"], "other");
  EXPECT_EQ(usage["total"]["requests"], 1);

  ASSERT_TRUE((*keys)->revoke("other"));
  EXPECT_EQ(status_of(server.get("/v1/models", other_header)), 401);
}

TEST(Server, AnswersKeysOfAHigherClassFirst) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "keys.db";
  const auto keys = ApiKeys::open(path);
  const auto header = [&](const char* name, Priority priority) {
    return "Authorization: Bearer " + *(*keys)->create(name, {}, priority) + "\r\n";
  };
  const std::string low = header("low", Priority::kLow);
  const std::string high = header("high", Priority::kHigh);
  ServerOptions options{.endless = true};
  options.serve.require_keys = true;
  options.serve.database = path;
  options.serve.engine.max_running = 1;
  const TestServer server(options);
  const auto running = endless_stream(server, low);
  RawClient first(server.port());
  first.send(http_request("POST", "/v1/completions", completion("a", 90'000, true), low));
  RawClient second(server.port());
  const auto waiting = [&](const char* count) {
    while (server.get("/metrics", low).find(std::string("\nfathom_queue_answers ") + count) ==
           std::string::npos) {
    }
  };
  waiting("1");
  second.send(http_request("POST", "/v1/completions", completion("a", 5, false), high));
  waiting("2");
  running->close();
  // The first would go on for longer than anybody waits here.
  EXPECT_EQ(status_of(second.read_response()), 200);
}

// With what is logged about one request.
std::string log_of(bool prompts) {
  ::testing::internal::CaptureStderr();
  {
    ServerOptions options{.logs = true};
    options.serve.log = LogFormat::kJson;
    options.serve.log_prompts = prompts;
    const TestServer server(options);
    EXPECT_EQ(status_of(server.post("/v1/completions", completion("a secret", 2, false))), 200);
  }
  return ::testing::internal::GetCapturedStderr();
}

TEST(Server, LogsPromptsOnlyWhenAsked) {
  EXPECT_EQ(log_of(false).find("secret"), std::string::npos);
  const std::string log = log_of(true);
  bool found = false;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const Json entry = Json::parse(line);  // each is JSON
    if (entry["event"] != "prompt") continue;
    found = true;
    EXPECT_EQ(Json::parse(entry["body"].get<std::string>())["prompt"], "a secret");
  }
  EXPECT_TRUE(found) << log;
}

TEST(Server, LetsOtherOriginsInOnlyWhenAsked) {
  const std::string origin = "Origin: http://page.example\r\n";
  const std::string preflight = http_request("OPTIONS", "/v1/chat/completions", {},
                                             origin + "Access-Control-Request-Method: POST\r\n");
  {
    const TestServer server;
    EXPECT_EQ(status_of(test::ask(server.port(), preflight)), 403);
    EXPECT_EQ(server.get("/v1/models", origin).find("Access-Control"), std::string::npos);
  }
  ServerOptions options;
  options.serve.cors_origins = {"http://page.example"};
  const TestServer server(options);
  RawClient client(server.port());
  client.send(preflight);
  const std::string allowed = client.read_until("\r\n\r\n");
  EXPECT_EQ(status_of(allowed), 204);
  EXPECT_NE(allowed.find("Access-Control-Allow-Origin: http://page.example"), std::string::npos);
  EXPECT_NE(allowed.find("Access-Control-Allow-Headers: Authorization"), std::string::npos);
  EXPECT_NE(server.get("/v1/models", origin).find("Access-Control-Allow-Origin"),
            std::string::npos);
  EXPECT_EQ(server.get("/v1/models", "Origin: http://other.example\r\n").find("Access-Control"),
            std::string::npos);
}

TEST(Server, KeepsALedgerThatAddsUp) {
  const TestServer server({.endless = true});
  int64_t prompt = 0;
  int64_t answer = 0;
  for (int i = 1; i <= 5; ++i) {
    const Json result =
        Json::parse(body_of(server.post("/v1/completions", completion("abc", 3 * i, false))));
    prompt += result["usage"]["prompt_tokens"].get<int64_t>();
    answer += result["usage"]["completion_tokens"].get<int64_t>();
  }
  EXPECT_EQ(status_of(server.post("/v1/completions", "{}")), 400);  // never reaches the ledger
  {
    endless_stream(server);
  }
  ASSERT_TRUE(server.metric_becomes("fathom_answers_cancelled_total", 1));
  Json total = Json::object();
  while (total.value("requests", 0) != 6) total = server.get_json("/v1/usage")["total"];
  EXPECT_EQ(total["cancelled"], 1);
  EXPECT_EQ(total["failed"], 0);
  EXPECT_GT(total["prompt_tokens"], prompt);
  EXPECT_GT(total["completion_tokens"], answer);
  const auto rows = read_usage(server.database(), {});
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->front().model, "tiny");
  EXPECT_EQ(status_of(server.get("/v1/usage?days=0")), 400);
  EXPECT_EQ(status_of(server.get("/v1/usage?days=x")), 400);
  EXPECT_EQ(status_of(server.get("/v1/usage?days=7")), 200);
}

TEST(Server, HoldsAKeyToItsTokensAndChargesForThem) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "keys.db";
  const std::string key = *(*ApiKeys::open(path))->create("mine", {.tokens_per_minute = 20});
  ServerOptions options{.endless = true};
  options.serve.require_keys = true;
  options.serve.database = path;
  options.serve.prices =
      *Prices::parse(R"({"tiny": {"input": 1000, "output": 2000}})", "prices.json");
  const TestServer server(options);
  const std::string header = "Authorization: Bearer " + key + "\r\n";
  const std::string first = server.post("/v1/completions", completion("abc", 40, false), header);
  ASSERT_EQ(status_of(first), 200);
  EXPECT_NE(first.find("x-ratelimit-remaining-tokens: 20"), std::string::npos) << first;
  const std::string second = server.post("/v1/completions", completion("abc", 1, false), header);
  EXPECT_EQ(status_of(second), 429);
  EXPECT_NE(second.find("Retry-After: "), std::string::npos);
  const Json usage = Json::parse(body_of(server.get("/v1/usage", header)));
  const Json tokens = Json::parse(body_of(first))["usage"];
  EXPECT_DOUBLE_EQ(usage["total"]["cost_usd"].get<double>(),
                   (tokens["prompt_tokens"].get<double>() * 1000 + 40 * 2000) / 1e6);
}

TEST(Server, CountsWhatItDoes) {
  const TestServer server({.endless = true});
  server.post("/v1/completions", completion("abc", 10, true));
  server.get("/nowhere");
  EXPECT_TRUE(server.metric_becomes("fathom_answer_tokens_total", 10));
  const std::string text = body_of(server.get("/metrics"));
  for (const char* line :
       {"# TYPE fathom_inter_token_seconds histogram", "fathom_first_token_seconds_count 1\n",
        "fathom_inter_token_seconds_count 9\n", "fathom_http_responses_total{status=\"404\"} 1\n",
        "fathom_requests_ended_total{outcome=\"length\"} 1\n", "fathom_requests_total 1\n",
        "# TYPE fathom_kv_resident_bytes gauge"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(Server, LetsAnswersEndWhenItStops) {
  TestServer server({.endless = true});
  RawClient client(server.port());
  client.send(http_request("POST", "/v1/completions", completion("a", 400, true)));
  client.read_until("data: ");
  EXPECT_TRUE(server.server().stop(std::chrono::seconds(60)));
  const std::string response = client.read_all();
  const auto events = events_of(response);
  EXPECT_EQ(events.back()["choices"][0]["finish_reason"], "length");
  EXPECT_THROW(RawClient(server.port()), std::runtime_error);
}

TEST(Server, CutsAnswersOffThatDoNotEndInTime) {
  TestServer server({.endless = true});
  const auto client = endless_stream(server);
  RawClient whole(server.port());
  whole.send(http_request("POST", "/v1/completions", completion("a", 90'000, false)));
  ASSERT_TRUE(server.metric_becomes("fathom_batch_answers", 2));
  EXPECT_FALSE(server.server().stop(std::chrono::milliseconds(1)));
  const auto events = events_of(client->read_all(), false);
  EXPECT_EQ(events.back()["error"]["code"], "stopping");
  EXPECT_EQ(status_of(whole.read_response()), 503);
}

TEST(Server, HoldsManyIdleConnectionsInLittleMemory) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  const size_t count = std::min<size_t>(2000, limit.rlim_max / 2 - 100);
  const TestServer server;
  const auto resident = [&] {
    const std::string text = body_of(server.get("/metrics"));
    constexpr std::string_view kName = "\nprocess_resident_memory_bytes ";
    return std::atof(text.c_str() + text.find(kName) + kName.size());
  };
  const double before = resident();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (size_t i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    clients.back()->send(http_request("GET", "/health"));
    ASSERT_EQ(status_of(clients.back()->read_response()), 200);
  }
  // Ours are in the same process: 20 KB for both ends of each, so that 10,000 take 200 MB at most.
  EXPECT_LT(resident() - before, 20e3 * static_cast<double>(count));
}

}  // namespace
}  // namespace fathom::serve
