#include "loadtest/run.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "loadtest/fake_server.h"
#include "loadtest/summary.h"
#include "serve/certificate.h"
#include "serve/server_fixture.h"

namespace fathom::loadtest {
namespace {

using Json = nlohmann::json;
using test::FakeServer;

Workload workload(uint64_t seed = 1, std::string_view words = "8") {
  return Workload({.prompt_words = *Lengths::parse(words, "--prompt-words"),
                   .output_tokens = *Lengths::parse("5", "--output-tokens"),
                   .system_words = 0,
                   .seed = seed});
}

RunOptions options_for(const std::string& url, int64_t sessions, int64_t requests) {
  RunOptions options;
  options.client.target = *Target::parse(url);
  options.client.timeout = 30;
  options.sessions = sessions;
  options.requests = requests;
  return options;
}

RunLog run_against(const FakeServer& server, int64_t sessions, int64_t requests) {
  auto log = run(options_for(server.url(), sessions, requests), workload());
  EXPECT_TRUE(log) << log.error().message;
  return log ? *std::move(log) : RunLog();
}

bool send_answer(const FakeServer::Request&, const FakeServer::Send& send) {
  send(test::streamed(5));
  return true;
}

TEST(Loadtest, AsksAsOftenAsToldAndCountsWhatTheServerCounts) {
  const FakeServer server(send_answer);
  const RunLog log = run_against(server, 3, 20);
  ASSERT_EQ(log.records.size(), 20U);
  std::set<uint64_t> indices;
  std::set<int64_t> sessions;
  for (const Record& record : log.records) {
    EXPECT_EQ(record.error, "") << record.detail;
    EXPECT_EQ(record.arrivals.size(), 5U);  // the role is no text
    EXPECT_EQ(record.completion_tokens, 10);
    EXPECT_EQ(record.prompt_tokens, 50);
    EXPECT_EQ(record.cached_tokens, 32);
    EXPECT_LE(record.begun, record.arrivals.front());
    EXPECT_TRUE(std::ranges::is_sorted(record.arrivals));
    EXPECT_LE(record.arrivals.back(), record.ended);
    indices.insert(record.index);
    sessions.insert(record.session);
  }
  EXPECT_EQ(indices.size(), 20U);
  EXPECT_EQ(*indices.rbegin(), 19U);
  EXPECT_EQ(sessions.size(), 3U);
  EXPECT_EQ(log.model, "fake");
}

TEST(Loadtest, SendsTheSameRequestsForTheSameSeed) {
  const auto bodies = [](uint64_t seed) {
    const FakeServer server(send_answer);
    EXPECT_TRUE(run(options_for(server.url(), 4, 12), workload(seed)));
    std::set<std::string> all;
    for (const auto& request : server.requests()) all.insert(request.body);
    return all;
  };
  const auto first = bodies(7);
  EXPECT_EQ(first.size(), 12U);  // all different
  EXPECT_EQ(first, bodies(7));
  EXPECT_NE(first, bodies(8));
}

TEST(Loadtest, SendsWhatAnOpenAiServerExpects) {
  const FakeServer server(send_answer);
  RunOptions options = options_for(server.url() + "/base/", 1, 1);
  options.client.api_key = "secret";
  options.client.fields = {{"ignore_eos", true}, {"temperature", 0}};
  ASSERT_TRUE(run(options, workload()));
  options.client.chat = false;
  options.client.usage = false;
  options.client.model = "other";
  ASSERT_TRUE(run(options, workload()));
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_TRUE(requests[0].head.starts_with("POST /base/chat/completions HTTP/1.1\r\n"));
  EXPECT_NE(requests[0].head.find("Authorization: Bearer secret"), std::string::npos);
  const Json chat = Json::parse(requests[0].body);
  EXPECT_EQ(chat["model"], "fake");
  EXPECT_EQ(chat["stream"], true);
  EXPECT_EQ(chat["max_tokens"], 5);
  EXPECT_EQ(chat["ignore_eos"], true);
  EXPECT_EQ(chat["stream_options"], (Json{{"include_usage", true}}));
  ASSERT_EQ(chat["messages"].size(), 1U);
  EXPECT_EQ(chat["messages"][0]["role"], "user");
  EXPECT_TRUE(requests[1].head.starts_with("POST /base/completions HTTP/1.1\r\n"));
  const Json bare = Json::parse(requests[1].body);
  EXPECT_EQ(bare["model"], "other");
  EXPECT_EQ(bare["prompt"], chat["messages"][0]["content"]);
  EXPECT_FALSE(bare.contains("stream_options"));
}

TEST(Loadtest, CountsEventsWhereTheServerDoesNotCountTokens) {
  const FakeServer server([](const auto&, const auto& send) {
    send(test::streamed(5, false));
    return true;
  });
  const RunLog log = run_against(server, 1, 2);
  ASSERT_EQ(log.records.size(), 2U);
  EXPECT_EQ(log.records[0].tokens(), 5);
  EXPECT_EQ(summarise(log, 0).output_tokens, 10);
  EXPECT_FALSE(summarise(log, 0).counted_by_server);
}

TEST(Loadtest, NamesEachKindOfFailureAndGoesOn) {
  const FakeServer server([](const FakeServer::Request& request, const FakeServer::Send& send) {
    switch (request.number) {
      case 0:
        send(test::response("500 Internal Server Error", R"({"error": {"message": "it broke"}})"));
        return true;
      case 1:
        send(test::response("200 OK", R"({"choices": []})"));
        return true;
      case 2:
        send(test::stream_head() + test::chunk(test::text_event("half")));
        return false;
      case 3:
        send(test::stream_head() + test::chunk("data: {broken\n\n"));
        return true;
      case 4:
        send(test::stream_head() +
             test::chunk("data: {\"error\": {\"message\": \"out of memory\"}}\n\n"));
        return true;
      case 5:
        send(test::stream_head() + test::chunk(test::text_event("half")) + "0\r\n\r\n");
        return true;
      case 6:
        send("what?\r\n\r\n");
        return false;
      default:
        send(test::streamed(5));
        return true;
    }
  });
  const RunLog log = run_against(server, 1, 8);
  std::vector<std::string> kinds;
  for (const Record& record : log.records) kinds.push_back(record.error);
  EXPECT_EQ(kinds,
            (std::vector<std::string>{"HTTP 500", "no event stream", "broken off", "bad event",
                                      "error event", "broken off", "not HTTP", ""}));
  EXPECT_EQ(log.records[0].detail, "\"it broke\"");
  EXPECT_EQ(log.records[4].detail, "\"out of memory\"");
  EXPECT_EQ(log.records[2].arrivals.size(), 1U);
  const Summary summary = summarise(log, 0);
  EXPECT_EQ(summary.answered, 1);
  EXPECT_EQ(summary.errors.at("broken off").count, 2);
}

TEST(Loadtest, AsksAgainWhenTheServerSaysSo) {
  const FakeServer server([](const FakeServer::Request& request, const FakeServer::Send& send) {
    if (request.number == 0) {
      send(test::response("429 Too Many Requests", R"({"error": {"message": "full"}})",
                          "Content-Type: application/json\r\nRetry-After: 0.3\r\n"));
    } else {
      send(test::streamed(5));
    }
    return true;
  });
  const RunLog log = run_against(server, 1, 1);
  ASSERT_EQ(log.records.size(), 2U);
  EXPECT_EQ(log.records[0].error, "HTTP 429");
  EXPECT_EQ(log.records[1].error, "");
  EXPECT_GE(log.records[1].begun, log.records[0].ended + 0.3);
  const auto requests = server.requests();
  EXPECT_EQ(requests[0].body, requests[1].body);
}

TEST(Loadtest, TakesANewConnectionWhenAKeptOneWasClosed) {
  const FakeServer server([](const auto&, const auto& send) {
    send(test::streamed(5));  // keep-alive, so it says
    return false;
  });
  const RunLog log = run_against(server, 1, 5);
  ASSERT_EQ(log.records.size(), 5U);
  for (const Record& record : log.records) EXPECT_EQ(record.error, "") << record.detail;
}

TEST(Loadtest, EndsTheRunWhenTheServerGoesAway) {
  FakeServer* running = nullptr;
  FakeServer server([&running](const FakeServer::Request& request, const FakeServer::Send& send) {
    if (request.number == 3) {
      running->stop();
      return false;
    }
    send(test::streamed(5));
    return true;
  });
  running = &server;
  const auto log = run(options_for(server.url(), 4, 0), workload());
  ASSERT_TRUE(log);
  EXPECT_NE(log->gone, "");
  EXPECT_GE(std::ranges::count_if(log->records, &Record::answered), 1);
  EXPECT_EQ(log->records.back().error, "no connection");
}

TEST(Loadtest, SaysWhyAServerCannotBeAsked) {
  uint16_t port = 0;
  {
    const FakeServer server(send_answer);
    port = server.port();
  }
  const auto nobody = run(options_for(fmt::format("http://127.0.0.1:{}", port), 1, 1), workload());
  ASSERT_FALSE(nobody);
  EXPECT_NE(nobody.error().message.find("no connection"), std::string::npos);
  const auto unknown = run(options_for("http://no-such-host.invalid", 1, 1), workload());
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("cannot be found"), std::string::npos);
}

TEST(Loadtest, BeginsRequestsByChanceWhetherEarlierOnesAreAnsweredOrNot) {
  const FakeServer server(send_answer);
  RunOptions options = options_for(server.url(), 1, 40);
  options.arrivals = Arrivals::kPoisson;
  options.rate = 400;
  const auto first = run(options, workload());
  const auto again = run(options, workload());
  ASSERT_TRUE(first && again);
  ASSERT_EQ(first->records.size(), 40U);
  const auto begins = [](const RunLog& log) {
    std::vector<double> times(40);
    for (const Record& record : log.records) times[record.index] = record.begun;
    return times;
  };
  const auto times = begins(*first);
  EXPECT_TRUE(std::ranges::is_sorted(times));
  // 40 exponential times of 2.5 ms: their sum is gamma distributed, far beyond these bounds never.
  EXPECT_GT(times.back(), 0.04);
  EXPECT_LT(times.back(), 0.25);
  const auto same = begins(*again);
  for (size_t i = 0; i < 40; ++i) EXPECT_NEAR(times[i], same[i], 1e-6);
}

TEST(Loadtest, FollowsATrace) {
  const FakeServer server(send_answer);
  const Workload trace({.seed = 3},
                       *parse_trace("{\"at\": 0, \"prompt\": \"first\", \"max_tokens\": 3}\n\n"
                                    "{\"at\": 0.05, \"prompt_words\": 7, \"max_tokens\": 4}\n",
                                    "trace"));
  RunOptions options = options_for(server.url(), 1, 2);
  options.arrivals = Arrivals::kTrace;
  const auto log = run(options, trace);
  ASSERT_TRUE(log);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2U);
  const Json first = Json::parse(requests[0].body);
  EXPECT_EQ(first["messages"][0]["content"], "first");
  EXPECT_EQ(first["max_tokens"], 3);
  const auto words = Json::parse(requests[1].body)["messages"][0]["content"].get<std::string>();
  EXPECT_EQ(std::ranges::count(words, ' '), 6);
  EXPECT_NEAR(log->records[1].begun, 0.05, 1e-6);
}

TEST(Loadtest, StopsWhenInterrupted) {
  const FakeServer server([](const auto&, const auto& send) {
    send(test::stream_head() + test::chunk(test::text_event("and then nothing")));
    return true;  // waits for a next request, and the client for the rest of this
  });
  RunOptions options = options_for(server.url(), 2, 0);
  options.interrupted = [] { return true; };
  const auto log = run(options, workload());
  ASSERT_TRUE(log);
  EXPECT_TRUE(log->interrupted);
  EXPECT_TRUE(log->records.empty());
}

TEST(Loadtest, MeasuresFathomItself) {
  test::ServerOptions server_options;
  server_options.endless = true;
  const test::TestServer server(server_options);
  const auto log =
      run(options_for(fmt::format("http://127.0.0.1:{}", server.port()), 6, 18), workload(1, "3"));
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_EQ(log->model, "tiny");
  const Summary summary = summarise(*log, 0);
  EXPECT_EQ(summary.answered, 18) << to_text(summary);
  EXPECT_EQ(summary.output_tokens, 18 * 5);
  EXPECT_TRUE(summary.counted_by_server);
  EXPECT_GT(summary.prompt_tokens, 18 * 3);
  EXPECT_EQ(summary.first_token.count, 18);
  EXPECT_EQ(summary.sessions, 6);
  EXPECT_EQ(summary.sessions_without_answer, 0);
  EXPECT_GE(summary.slowest_over_median, 1);
}

TEST(Loadtest, ChecksTheCertificateUnlessToldNotTo) {
  const test::TemporaryDirectory directory;
  const test::PemFiles files = test::make_certificate(directory.path(), "server");
  test::ServerOptions server_options;
  server_options.serve.http.tls_certificate = files.certificate;
  server_options.serve.http.tls_key = files.key;
  const test::TestServer server(server_options);
  RunOptions options = options_for(fmt::format("https://127.0.0.1:{}", server.port()), 2, 6);
  const auto refused = run(options, workload());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("TLS: certificate verify failed"), std::string::npos)
      << refused.error().message;
  options.client.verify = false;
  const auto log = run(options, workload());
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_EQ(summarise(*log, 0).answered, 6) << to_text(summarise(*log, 0));
}

}  // namespace
}  // namespace fathom::loadtest
