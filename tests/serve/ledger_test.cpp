#include "serve/ledger.h"

#include <gtest/gtest.h>

#include <chrono>

#include "cli/tiny_model.h"
#include "serve/api_keys.h"

namespace fathom::serve {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

LedgerEntry entry(const std::string& key, double time) {
  return {.time = time,
          .id = "1",
          .key = key,
          .model = "m",
          .endpoint = "/v1/completions",
          .prompt_tokens = 10,
          .cached_tokens = 4,
          .completion_tokens = 3,
          .first_token_seconds = 0.5,
          .seconds = 2,
          .outcome = "stop",
          .cost_usd = 0.25};
}

TEST(Ledger, SumsWhatWasAddedByDayAndKey) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "serve.db";
  const auto ledger = Ledger::open(path, 0);
  ASSERT_TRUE(ledger) << ledger.error().message;
  const double time = now();
  for (int i = 0; i < 100; ++i) (*ledger)->add(entry("a", time));
  LedgerEntry failed = entry("b", time);
  failed.outcome = "failed";
  (*ledger)->add(failed);
  (*ledger)->add(entry("a", time - 3 * 86400));
  (*ledger)->flush();
  const auto rows = read_usage(path, {.days = 30});
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 3U);
  EXPECT_EQ((*rows)[0].key, "a");
  EXPECT_EQ((*rows)[0].requests, 100);
  EXPECT_EQ((*rows)[0].prompt_tokens, 1000);
  EXPECT_EQ((*rows)[0].cached_tokens, 400);
  EXPECT_EQ((*rows)[0].completion_tokens, 300);
  EXPECT_DOUBLE_EQ((*rows)[0].first_token_seconds, 0.5);
  EXPECT_DOUBLE_EQ((*rows)[0].seconds, 200);
  EXPECT_DOUBLE_EQ((*rows)[0].cost_usd, 25);
  EXPECT_EQ((*rows)[1].key, "b");
  EXPECT_EQ((*rows)[1].failed, 1);
  EXPECT_EQ((*rows)[2].requests, 1);
  const auto today = read_usage(path, {.days = 1, .key = "a"});
  ASSERT_TRUE(today);
  ASSERT_EQ(today->size(), 1U);
  EXPECT_EQ(today->front().requests, 100);
}

TEST(Ledger, ForgetsWhatIsOlderThanItKeeps) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "serve.db";
  {
    const auto ledger = Ledger::open(path, 0);
    ASSERT_TRUE(ledger);
    (*ledger)->add(entry("a", now() - 10 * 86400));
    (*ledger)->add(entry("a", now()));
  }  // which writes what is queued
  ASSERT_EQ(read_usage(path, {})->size(), 2U);
  {
    const auto ledger = Ledger::open(path, 5);
    ASSERT_TRUE(ledger);
    (*ledger)->add(entry("a", now()));
    (*ledger)->flush();
  }
  const auto rows = read_usage(path, {});
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->front().requests, 2);
}

TEST(Ledger, GoesOnInAFileThatWasMadeBeforeThereWereCosts) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "serve.db";
  {
    auto old = Database::open(path);
    ASSERT_TRUE(old);
    ASSERT_TRUE(old->run(
        "CREATE TABLE requests (time REAL, id TEXT, key TEXT, model TEXT, endpoint TEXT, "
        "prompt_tokens INTEGER, cached_tokens INTEGER, completion_tokens INTEGER, "
        "first_token_seconds REAL, seconds REAL, outcome TEXT);"
        "INSERT INTO requests SELECT unixepoch(), '1', 'a', 'm', 'e', 1, 0, 1, 0.1, 0.2, 'stop';"
        "CREATE TABLE keys (name TEXT PRIMARY KEY, beginning TEXT, hash TEXT UNIQUE, created "
        "INTEGER, revoked INTEGER DEFAULT 0, max_concurrent INTEGER DEFAULT 0);"
        "INSERT INTO keys (name, max_concurrent) VALUES ('old', 4);"));
  }
  const auto ledger = Ledger::open(path, 0);
  ASSERT_TRUE(ledger) << ledger.error().message;
  (*ledger)->add(entry("a", now()));
  (*ledger)->flush();
  const auto rows = read_usage(path, {});
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(rows->front().requests, 2);
  EXPECT_DOUBLE_EQ(rows->front().cost_usd, 0.25);
  const auto keys = ApiKeys::open(path);
  ASSERT_TRUE(keys) << keys.error().message;
  const auto list = (*keys)->list();
  ASSERT_EQ(list->size(), 1U);
  EXPECT_EQ(list->front().limits.max_concurrent, 4);
  EXPECT_EQ(list->front().limits.tokens_per_minute, 0);
}

TEST(Ledger, SaysWhereItCannotBe) {
  const auto ledger = Ledger::open("/proc/nowhere/serve.db", 0);
  ASSERT_FALSE(ledger);
  EXPECT_NE(ledger.error().message.find("/proc/nowhere"), std::string::npos);
}

TEST(ApiKeys, AreFoundUntilTheyAreRevoked) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "sub" / "serve.db";
  const auto keys = ApiKeys::open(path);
  ASSERT_TRUE(keys) << keys.error().message;
  const auto first = (*keys)->create("first", {});
  const auto second = (*keys)->create("second", {.max_concurrent = 3});
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_FALSE((*keys)->create("first", {}));
  EXPECT_FALSE((*keys)->create("", {}));

  const auto found = (*keys)->find(*second);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->name, "second");
  EXPECT_EQ((*found)->limits.max_concurrent, 3);
  for (const std::string& wrong : {std::string(), std::string("fathom-"), *first + "0"}) {
    const auto none = (*keys)->find(wrong);
    ASSERT_TRUE(none);
    EXPECT_FALSE(*none);
  }

  // Another process revokes it.
  const auto others = ApiKeys::open(path);
  ASSERT_TRUE((*others)->revoke("second"));
  EXPECT_FALSE(*(*keys)->find(*second));
  EXPECT_FALSE((*others)->revoke("second"));
  EXPECT_FALSE((*others)->revoke("nobody"));
  EXPECT_FALSE((*keys)->create("second", {}));
  const auto list = (*keys)->list();
  ASSERT_EQ(list->size(), 2U);
  EXPECT_EQ(list->at(1).revoked == 0, false);
  EXPECT_TRUE(first->starts_with(list->at(0).beginning));
}

TEST(ApiKeys, CanBeGivenOtherLimits) {
  const test::TemporaryDirectory directory;
  const auto keys = ApiKeys::open(directory.path() / "serve.db");
  const auto key = (*keys)->create("one", {.max_concurrent = 3, .tokens_per_minute = 50});
  ASSERT_TRUE(key);
  EXPECT_EQ((**(*keys)->find(*key)).limits.tokens_per_minute, 50);
  ASSERT_TRUE((*keys)->limit("one", {.requests_per_minute = 7}));
  const KeyLimits limits = (**(*keys)->find(*key)).limits;
  EXPECT_EQ(limits.max_concurrent, 0);
  EXPECT_EQ(limits.requests_per_minute, 7);
  EXPECT_EQ(limits.tokens_per_minute, 0);
  EXPECT_FALSE((*keys)->limit("two", {}));
}

TEST(ApiKeys, AreNotInTheDatabase) {
  const test::TemporaryDirectory directory;
  const auto path = directory.path() / "serve.db";
  std::string key;
  {
    const auto keys = ApiKeys::open(path);
    key = *(*keys)->create("first", {});
  }
  const std::string secret = key.substr(key.find('-') + 1 + 8);
  for (const auto& file : std::filesystem::directory_iterator(directory.path())) {
    EXPECT_EQ(test::read_file(file.path()).find(secret), std::string::npos) << file.path();
    const auto rights = file.status().permissions();
    EXPECT_EQ(rights & std::filesystem::perms::others_read, std::filesystem::perms::none);
  }
}

}  // namespace
}  // namespace fathom::serve
