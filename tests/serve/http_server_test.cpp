#include "serve/http_server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <thread>

#include "serve/raw_client.h"

namespace fathom::serve {
namespace {

using std::chrono::milliseconds;
using test::ask;
using test::body_of;
using test::http_request;
using test::RawClient;
using test::status_of;

HttpResponse refuse(int status, const std::string& message) {
  return {.status = status, .content_type = "text/plain", .body = message};
}

// Says the path and the body back.
void echo(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  exchange->respond({.content_type = "text/plain", .body = request.path + " " + request.body});
}

std::unique_ptr<HttpServer> start(HttpOptions options = {}, HttpHandler handler = echo) {
  options.port = 0;
  auto server = HttpServer::start(options, std::move(handler), refuse);
  if (!server) throw std::runtime_error(server.error().message);
  return *std::move(server);
}

TEST(HttpServer, AnswersSeveralRequestsOnOneConnection) {
  const auto server = start();
  RawClient client(server->port());
  client.send(http_request("POST", "/a", "one"));
  EXPECT_EQ(body_of(client.read_response()), "/a one");
  client.send(http_request("POST", "/b", "two") + http_request("GET", "/c"));
  EXPECT_EQ(body_of(client.read_response()), "/b two");
  EXPECT_EQ(body_of(client.read_response()), "/c ");
}

TEST(HttpServer, ReadsABodyInChunks) {
  const auto server = start();
  const std::string response =
      ask(server->port(),
          "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n"
          "0\r\n\r\n");
  EXPECT_EQ(body_of(response), "/x abcde");
}

TEST(HttpServer, AnswersExpectBeforeTheBody) {
  const auto server = start();
  RawClient client(server->port());
  client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(status_of(client.read_response()), 100);
  client.send("abc");
  EXPECT_EQ(body_of(client.read_response()), "/x abc");
}

TEST(HttpServer, ClosesAfterHttp10AndAfterConnectionClose) {
  const auto server = start();
  for (const char* request :
       {"GET /x HTTP/1.0\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"}) {
    RawClient client(server->port());
    client.send(request);
    const std::string all = client.read_all();  // returns because the server closes
    EXPECT_EQ(status_of(all), 200);
    EXPECT_NE(all.find("Connection: close"), std::string::npos);
  }
}

TEST(HttpServer, RefusesHeadsThatTwoServersCouldReadInTwoWays) {
  const auto server = start();
  const struct {
    const char* head;
    int status;
  } cases[] = {
      {"Host: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400},
      {"Host: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n", 400},
      {"Host: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n", 400},
      {"Host: a\r\nContent-Length: 3, 3\r\n", 400},
      {"Host: a\r\nContent-Length: -3\r\n", 400},
      {"Host: a\r\nContent-Length: +3\r\n", 400},
      {"Host: a\r\nTransfer-Encoding: chunked, identity\r\n", 501},
      {"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501},
      {"Host: a\r\nTransfer-Encoding : chunked\r\n", 400},
      {"Host: a\r\nHost: b\r\n", 400},
      {"", 400},
  };
  for (const auto& bad : cases) {
    RawClient client(server->port());
    client.send(std::string("POST /x HTTP/1.1\r\n") + bad.head + "\r\nabc");
    const std::string all = client.read_all();
    EXPECT_EQ(status_of(all), bad.status) << bad.head << all;
    // What follows is not taken for a second request.
    EXPECT_EQ(all.find("HTTP/1.1", 8), std::string::npos) << bad.head;
  }
}

TEST(HttpServer, RefusesWhatIsNotHttp) {
  const auto server = start();
  for (const char* bytes :
       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "GET\r\n\r\n",
        "GET /x HTTP/3.0\r\nHost: a\r\n\r\n", "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x HTTP/1.1\r\nHo st: a\r\n\r\n"}) {
    RawClient client(server->port());
    client.send(bytes);
    const std::string all = client.read_all();
    EXPECT_TRUE(status_of(all) == 400 || status_of(all) == 505) << bytes << all;
  }
}

TEST(HttpServer, RefusesHeadsAndBodiesPastTheirLimits) {
  const auto server = start({.header_bytes = 2048, .body_bytes = 1000});
  EXPECT_EQ(status_of(ask(server->port(), http_request("POST", "/x", std::string(1000, 'a')))),
            200);
  EXPECT_EQ(status_of(ask(server->port(), http_request("POST", "/x", std::string(1001, 'a')))),
            413);
  EXPECT_EQ(status_of(ask(server->port(),
                          "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                          "chunked\r\n\r\n3e9\r\n" +
                              std::string(1001, 'a') + "\r\n0\r\n\r\n")),
            413);
  EXPECT_EQ(status_of(ask(server->port(),
                          http_request("GET", "/x", {}, "X: " + std::string(3000, 'a') + "\r\n"))),
            431);
}

// As Python's http.client does: it sends all it has before it reads.
TEST(HttpServer, LetsAClientSendWhatIsRefusedToItsEnd) {
  const auto server = start({.body_bytes = 1000});
  const std::string large(size_t{24} << 20, 'a');
  for (const std::string& request :
       {http_request("POST", "/x", large),
        fmt::format(
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n"
            "0\r\n\r\n",
            large.size(), large),
        http_request("POST", "/x", large, "Content-Length: 3\r\n")}) {
    RawClient client(server->port());
    EXPECT_TRUE(client.send(request));
    const std::string all = client.read_all();
    EXPECT_TRUE(status_of(all) == 413 || status_of(all) == 400) << all.substr(0, 100);
    EXPECT_EQ(all.find("HTTP/1.1", 8), std::string::npos);
  }
}

TEST(HttpServer, ReadsNoMoreOfWhatItRefusedThanItsLimits) {
  const std::string head = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
  const std::string piece(size_t{1} << 20, 'a');
  {
    // More bytes than the limit and than the system's buffers hold.
    const auto server = start({.body_bytes = 1000, .linger_bytes = 10'000});
    RawClient client(server->port());
    client.send(head);
    int sent = 0;
    while (sent < 100 && client.send(piece)) ++sent;
    EXPECT_LT(sent, 100);
  }
  {
    // A client that falls silent.
    const auto server = start({.body_bytes = 1000, .linger_silence = milliseconds(50)});
    RawClient client(server->port());
    client.send(head);
    EXPECT_EQ(status_of(client.read_all()), 413);
    while (server->connections() > 0) std::this_thread::sleep_for(milliseconds(1));
  }
  {
    // A client that never does.
    const auto server = start({.body_bytes = 1000, .linger_time = milliseconds(50)});
    RawClient client(server->port());
    client.send(head);
    while (client.send("a")) std::this_thread::sleep_for(milliseconds(1));
    EXPECT_EQ(server->connections(), 0);
  }
}

TEST(HttpServer, KeepsNoMemoryOfBodiesForARequestThatItRefused) {
  const auto server = start({.body_bytes = 1000, .all_body_bytes = 1500});
  RawClient refused(server->port());
  // In chunks, so that the whole limit is set aside until the body turns out too large.
  refused.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
               std::string(1001, 'a'));
  EXPECT_EQ(status_of(refused.read_response()), 413);
  EXPECT_EQ(status_of(ask(server->port(), http_request("POST", "/x", std::string(900, 'b')))), 200);
}

TEST(HttpServer, RefusesABodyThatWouldPassTheMemoryForAllBodies) {
  const auto server = start({.body_bytes = 1000, .all_body_bytes = 1500});
  RawClient first(server->port());
  first.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n");
  first.send("a");
  // The first request's head has been read once the server has answered a later connection's.
  std::string refused;
  while (status_of(refused) != 503) {
    refused = ask(server->port(), http_request("POST", "/x", std::string(900, 'b')));
    ASSERT_TRUE(status_of(refused) == 503 || status_of(refused) == 200);
  }
  first.send(std::string(899, 'a'));
  EXPECT_EQ(status_of(first.read_response()), 200);
  EXPECT_EQ(status_of(ask(server->port(), http_request("POST", "/x", std::string(900, 'b')))), 200);
}

TEST(HttpServer, ClosesOnThoseWhoSendTooSlowly) {
  const auto server = start({.header_time = milliseconds(100),
                             .body_time = milliseconds(100),
                             .idle_time = milliseconds(100)});
  for (const char* start_of_a_request :
       {"", "GET / HTT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na"}) {
    RawClient client(server->port());
    client.send(start_of_a_request);
    EXPECT_EQ(client.read_all(), "");  // returns because the server closes
  }
}

TEST(HttpServer, TellsWhoAnswersThatTheClientIsGone) {
  std::mutex mutex;
  std::condition_variable changed;
  int gone = 0;
  const auto server = start({}, [&](const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
    exchange->on_gone([&] {
      const std::lock_guard lock(mutex);
      ++gone;
      changed.notify_all();
    });
    exchange->begin({.content_type = "text/event-stream"});
    exchange->write("data: hello\n\n");
  });
  const auto wait_for = [&](int count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(10), [&] { return gone == count; });
  };
  {
    RawClient client(server->port());
    client.send(http_request("GET", "/x"));
    client.read_until("hello");
  }
  EXPECT_TRUE(wait_for(1));
  {
    // Also when bytes of a next request are waiting unread.
    RawClient client(server->port());
    client.send(http_request("GET", "/x") + "GET /y");
    client.read_until("hello");
  }
  EXPECT_TRUE(wait_for(2));
}

TEST(HttpServer, CutsOffAClientThatDoesNotRead) {
  std::atomic<bool> cut = false;
  std::atomic<size_t> written = 0;
  std::thread writer;
  const auto server = start({.output_bytes = 100'000},
                            [&](const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
                              writer = std::thread([&, exchange] {
                                exchange->begin({.content_type = "text/plain"});
                                const std::string piece(10'000, 'x');
                                // More than the system's own buffers take.
                                for (int i = 0; i < 100'000 && exchange->write(piece); ++i) {
                                  written += piece.size();
                                  std::this_thread::sleep_for(std::chrono::microseconds(200));
                                }
                                cut = exchange->gone();
                              });
                            });
  RawClient client(server->port());
  client.send(http_request("GET", "/x"));
  client.read_until("\r\n\r\n");
  while (!cut) std::this_thread::sleep_for(milliseconds(1));
  writer.join();
  EXPECT_LT(written, 100'000U * 10'000U);
}

TEST(HttpServer, LetsRequestsEndWhenItDrains) {
  std::shared_ptr<Exchange> held;
  std::mutex mutex;
  std::condition_variable changed;
  const auto server = start({}, [&](const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
    exchange->begin({.content_type = "text/plain"});
    const std::lock_guard lock(mutex);
    held = exchange;
    changed.notify_all();
  });
  RawClient idle(server->port());
  RawClient busy(server->port());
  busy.send(http_request("GET", "/x"));
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return held != nullptr; });
  }
  EXPECT_FALSE(server->drain(milliseconds(0)));
  EXPECT_EQ(idle.read_all(), "");
  held->write("the end");
  held->end();
  EXPECT_TRUE(server->drain(std::chrono::seconds(10)));
  EXPECT_EQ(body_of(busy.read_response()), "the end");
  EXPECT_THROW(RawClient(server->port()), std::runtime_error);
}

TEST(HttpServer, SaysWhyItCannotListen) {
  const auto server = start();
  HttpOptions options;
  options.port = server->port();
  const auto second = HttpServer::start(options, echo, refuse);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("Cannot listen"), std::string::npos);
  options.host = "no such host";
  EXPECT_FALSE(HttpServer::start(options, echo, refuse));
  options.host = "127.0.0.1";
  options.port = 0;
  options.tls_certificate = "/nonexistent.pem";
  EXPECT_FALSE(HttpServer::start(options, echo, refuse));
  options.tls_key = "/nonexistent.pem";
  const auto no_certificate = HttpServer::start(options, echo, refuse);
  ASSERT_FALSE(no_certificate);
  EXPECT_NE(no_certificate.error().message.find("/nonexistent.pem"), std::string::npos);
}

}  // namespace
}  // namespace fathom::serve
