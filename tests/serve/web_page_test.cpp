// The web page's files: their types, headers and versions, and that nothing else can be had by
// them.
#include "serve/web_page.h"

#include <gtest/gtest.h>

#include "serve/server_fixture.h"
#include "serve/web_files.h"

namespace fathom::serve {
namespace {

using test::body_of;
using test::Json;
using test::ServerOptions;
using test::status_of;
using test::TestServer;

constexpr const char* kGzip = "Accept-Encoding: br;q=1.0, gzip\r\n";

// The value of a header of that name, as it is written; empty where there is none.
std::string header_of(const std::string& response, const std::string& name) {
  const std::string head = response.substr(0, response.find("\r\n\r\n")) + "\r\n";
  const size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  const size_t begin = at + name.size() + 4;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

TEST(WebPage, IsServedAtTheRoot) {
  const TestServer server;
  const std::string page = server.get("/");
  EXPECT_EQ(status_of(page), 200);
  EXPECT_EQ(header_of(page, "Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(header_of(page, "Content-Encoding"), "");
  EXPECT_TRUE(body_of(page).starts_with("<!doctype html>")) << page;
  EXPECT_NE(body_of(page).find("</html>"), std::string::npos);
  EXPECT_EQ(body_of(server.get("/index.html")), body_of(page));
}

TEST(WebPage, ServesEachFileWithTheRightType) {
  const TestServer server;
  int scripts = 0;
  for (const WebFile& file : web_files()) {
    const std::string path(file.path);
    const std::string response = server.get(path, kGzip);
    EXPECT_EQ(status_of(response), 200) << path;
    EXPECT_EQ(header_of(response, "Content-Encoding"), "gzip") << path;
    EXPECT_EQ(body_of(response), std::string(file.gzip.begin(), file.gzip.end())) << path;
    const std::string type = header_of(response, "Content-Type");
    if (path.ends_with(".js")) {
      EXPECT_EQ(type, "text/javascript; charset=utf-8") << path;
      ++scripts;
    }
    if (path.ends_with(".css")) {
      EXPECT_EQ(type, "text/css; charset=utf-8") << path;
    }
    if (path.ends_with(".svg")) {
      EXPECT_EQ(type, "image/svg+xml") << path;
    }
    EXPECT_NE(type, "application/octet-stream") << path;
  }
  EXPECT_GE(scripts, 2);
}

TEST(WebPage, IsUnpackedForClientsThatDoNotTakeGzip) {
  const TestServer server;
  for (const WebFile& file : web_files()) {
    const std::string path(file.path);
    const std::string plain = body_of(server.get(path));
    // The length that a gzip file ends in.
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length |= size_t{file.gzip[file.gzip.size() - 4 + i]} << (8 * i);
    EXPECT_EQ(plain.size(), length) << path;
    EXPECT_EQ(plain.find('\0'), std::string::npos) << path;
  }
  const std::string plain = body_of(server.get("/"));
  for (const char* accepts : {"identity", "gzip;q=0", "gzip; q=0.0", "br, deflate", "xgzip"}) {
    const std::string header = std::string("Accept-Encoding: ") + accepts + "\r\n";
    EXPECT_EQ(body_of(server.get("/", header)), plain) << accepts;
  }
  for (const char* accepts : {"gzip", "gzip;q=0.5, br", "*", "deflate ,\tgzip"}) {
    const std::string header = std::string("Accept-Encoding: ") + accepts + "\r\n";
    EXPECT_EQ(header_of(server.get("/", header), "Content-Encoding"), "gzip") << accepts;
  }
}

TEST(WebPage, IsNotSentAgainToWhoHasIt) {
  const TestServer server;
  const std::string tag = header_of(server.get("/"), "ETag");
  const std::string packed_tag = header_of(server.get("/", kGzip), "ETag");
  EXPECT_TRUE(tag.size() > 2 && tag.front() == '"' && tag.back() == '"') << tag;
  EXPECT_NE(tag, packed_tag);
  for (const std::string& known : {tag, "W/" + tag, "\"other\", " + tag, std::string("*")}) {
    const std::string response = server.get("/", "If-None-Match: " + known + "\r\n");
    EXPECT_EQ(status_of(response), 304) << known;
    EXPECT_EQ(body_of(response), "");
    EXPECT_EQ(header_of(response, "ETag"), tag);
    EXPECT_EQ(header_of(response, "Content-Length"), "");
  }
  for (const std::string& known : {packed_tag, std::string("\"other\""), std::string("x")}) {
    EXPECT_EQ(status_of(server.get("/", "If-None-Match: " + known + "\r\n")), 200) << known;
  }
}

TEST(WebPage, IsKeptByBrowsersOnlyWhereNamesHoldTheContents) {
  const TestServer server;
  EXPECT_EQ(header_of(server.get("/"), "Cache-Control"), "no-cache");
  EXPECT_EQ(header_of(server.get("/"), "Vary"), "Accept-Encoding");
  for (const WebFile& file : web_files()) {
    const bool named_by_contents = file.path.starts_with("/assets/");
    EXPECT_EQ(header_of(server.get(std::string(file.path)), "Cache-Control"),
              named_by_contents ? "public, max-age=31536000, immutable" : "no-cache");
  }
}

TEST(WebPage, RunsItsOwnScriptsAlone) {
  const TestServer server;
  const std::string page = server.get("/");
  const std::string policy = header_of(page, "Content-Security-Policy");
  for (const char* rule : {"default-src 'none'", "script-src 'self'", "style-src 'self'",
                           "connect-src 'self'", "base-uri 'none'", "form-action 'none'",
                           "frame-ancestors 'none'", "require-trusted-types-for 'script'"}) {
    EXPECT_NE(policy.find(rule), std::string::npos) << rule;
  }
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  EXPECT_EQ(header_of(page, "X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(header_of(page, "Referrer-Policy"), "no-referrer");
  // What the policy would block must not be in the page: scripts and styles in the document.
  const std::string html = body_of(page);
  for (size_t at = html.find("<script"); at != std::string::npos;
       at = html.find("<script", at + 1)) {
    EXPECT_EQ(html.find("></script>", at), html.find('>', at)) << html;
  }
  EXPECT_EQ(html.find("<style"), std::string::npos);
  EXPECT_EQ(html.find(" style="), std::string::npos);
}

TEST(WebPage, TellsItsLengthToHead) {
  const TestServer server;
  const std::string whole = server.get("/");
  const std::string head =
      test::ask(server.port(), "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status_of(head), 200);
  EXPECT_EQ(header_of(head, "Content-Length"), std::to_string(body_of(whole).size()));
  EXPECT_EQ(head.substr(head.find("\r\n\r\n") + 4), "");
}

TEST(WebPage, TakesNoOtherMethod) {
  const TestServer server;
  const std::string response = server.post("/", "{}");
  EXPECT_EQ(status_of(response), 405);
  EXPECT_EQ(header_of(response, "Allow"), "GET, HEAD");
  EXPECT_EQ(Json::parse(body_of(response))["error"]["type"], "invalid_request_error");
}

TEST(WebPage, LeadsToNoOtherFile) {
  const TestServer server;
  for (const char* path :
       {"/assets", "/assets/", "/assets/../index.html", "//", "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/assets/..\\..\\index.html",
        "/index.html/", "/index.html.gz", "/INDEX.HTML", "/favicon.ico", "/index.html%00"}) {
    EXPECT_EQ(status_of(server.get(path)), 404) << path;
  }
}

TEST(WebPage, NeedsNoKeyWhereTheApiDoes) {
  const test::TemporaryDirectory directory;
  ServerOptions options;
  options.serve.require_keys = true;
  options.serve.database = directory.path() / "keys.db";
  const TestServer server(options);
  EXPECT_EQ(status_of(server.get("/")), 200);
  EXPECT_EQ(status_of(server.get("/favicon.svg")), 200);
  EXPECT_EQ(status_of(server.get("/v1/models")), 401);
  EXPECT_EQ(status_of(server.get("/metrics")), 401);
  EXPECT_EQ(status_of(server.get("/other")), 401);
}

TEST(WebPage, CanBeLeftOut) {
  ServerOptions options;
  options.serve.web_page = false;
  const TestServer server(options);
  EXPECT_EQ(status_of(server.get("/")), 404);
  EXPECT_EQ(status_of(server.get("/favicon.svg")), 404);
  EXPECT_EQ(status_of(server.get("/v1/models")), 200);
}

TEST(WebPage, CarriesTheLicencesOfWhatIsInIt) {
  const TestServer server;
  const std::string text = body_of(server.get("/licences.txt"));
  for (const char* name : {"preact ", "uplot ", "marked ", "highlight.js ", "lowlight "}) {
    EXPECT_NE(text.find(std::string("\n") + name), std::string::npos) << name;
  }
  EXPECT_NE(text.find("Permission is hereby granted"), std::string::npos);
}

}  // namespace
}  // namespace fathom::serve
