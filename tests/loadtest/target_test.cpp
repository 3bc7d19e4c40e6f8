#include "loadtest/target.h"

#include <gtest/gtest.h>

namespace fathom::loadtest {
namespace {

TEST(Target, TakesAUrlApart) {
  const auto plain = Target::parse("http://127.0.0.1:8080");
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->tls);
  EXPECT_EQ(plain->host, "127.0.0.1");
  EXPECT_EQ(plain->port, 8080);
  EXPECT_EQ(plain->base, "/v1");
  EXPECT_EQ(plain->authority(), "127.0.0.1:8080");

  const auto secure = Target::parse("https://example.org/api/openai/");
  ASSERT_TRUE(secure);
  EXPECT_TRUE(secure->tls);
  EXPECT_EQ(secure->port, 443);
  EXPECT_EQ(secure->base, "/api/openai");
  EXPECT_EQ(secure->authority(), "example.org");

  const auto six = Target::parse("http://[::1]:81/");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->host, "::1");
  EXPECT_EQ(six->authority(), "[::1]:81");
}

TEST(Target, RefusesWhatIsNoUrlOfAServer) {
  for (const char* url : {"", "localhost:8080", "ftp://host", "http://", "http://:80",
                          "http://host:", "http://host:x", "http://host:0", "http://host:70000",
                          "http://host/v1?x=1", "http://user@host", "http://[::1", "http://[::1]80",
                          "http://ho st", "http://host/\r\nX: y"}) {
    const auto target = Target::parse(url);
    ASSERT_FALSE(target) << url;
    EXPECT_EQ(target.error().kind, ErrorKind::kUsage);
  }
}

}  // namespace
}  // namespace fathom::loadtest
