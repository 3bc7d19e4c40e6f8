#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <array>

#include "cli/tiny_model.h"
#include "serve/certificate.h"
#include "serve/http_server.h"
#include "serve/raw_client.h"

namespace fathom::serve {
namespace {

class TlsServer : public testing::Test {
 protected:
  std::unique_ptr<HttpServer> start() {
    HttpOptions options;
    options.port = 0;
    options.tls_certificate = files_.certificate;
    options.tls_key = files_.key;
    options.header_time = std::chrono::milliseconds(2000);
    return *HttpServer::start(
        options,
        [](const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
          exchange->begin({.content_type = "text/plain"});
          exchange->write(request.path);
          exchange->write(std::string(100'000, 'x'));
          exchange->end();
        },
        [](int status, const std::string& message) {
          return HttpResponse{.status = status, .body = message};
        });
  }

  test::TemporaryDirectory directory_;
  test::PemFiles files_ = test::make_certificate(directory_.path(), "server");
};

TEST_F(TlsServer, AnswersSeveralRequestsOverTls) {
  const auto server = start();
  const test::RawClient client(server->port());
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, client.descriptor());
  ASSERT_EQ(SSL_connect(ssl), 1);
  EXPECT_GE(SSL_version(ssl), TLS1_2_VERSION);
  for (const char* path : {"/one", "/two"}) {
    const std::string request = test::http_request("GET", path);
    ASSERT_EQ(SSL_write(ssl, request.data(), static_cast<int>(request.size())),
              static_cast<int>(request.size()));
    std::string response;
    std::array<char, 16384> block{};
    while (!response.ends_with("\r\n0\r\n\r\n")) {
      const int got = SSL_read(ssl, block.data(), static_cast<int>(block.size()));
      ASSERT_GT(got, 0);
      response.append(block.data(), static_cast<size_t>(got));
    }
    EXPECT_EQ(test::body_of(response), path + std::string(100'000, 'x'));
  }
  SSL_shutdown(ssl);
  SSL_free(ssl);
  SSL_CTX_free(context);
}

TEST_F(TlsServer, ClosesOnThoseWhoDoNotSpeakTls) {
  const auto server = start();
  test::RawClient client(server->port());
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.read_all().find("HTTP/"), std::string::npos);
  // And on those who begin and say no more.
  test::RawClient silent(server->port());
  EXPECT_EQ(silent.read_all(), "");
}

TEST_F(TlsServer, NeedsTheKeyOfItsCertificate) {
  HttpOptions options;
  options.port = 0;
  options.tls_certificate = files_.certificate;
  const auto without = HttpServer::start(options, {}, {});
  ASSERT_FALSE(without);
  options.tls_key = test::make_certificate(directory_.path(), "other").key;
  const auto mixed = HttpServer::start(options, {}, {});
  ASSERT_FALSE(mixed);
  EXPECT_NE(mixed.error().message.find("other.key"), std::string::npos);
}

}  // namespace
}  // namespace fathom::serve
