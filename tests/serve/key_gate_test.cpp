#include "serve/key_gate.h"

#include <gtest/gtest.h>

#include "cli/tiny_model.h"

namespace fathom::serve {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string header_of(const KeyGate::Pass& pass, std::string_view name) {
  for (const auto& [header, value] : pass.headers()) {
    if (header == name) return value;
  }
  return {};
}

// A gate with one key, and a clock that the test moves.
class KeyGateTest : public ::testing::Test {
 protected:
  void open(const KeyLimits& own, const KeyLimits& of_all = {}) {
    keys_ = *ApiKeys::open(directory_.path() / "keys.db");
    key_ = *keys_->create("one", own);
    gate_ = std::make_unique<KeyGate>(keys_.get(), of_all);
  }
  ApiResult<std::shared_ptr<KeyGate::Pass>> ask(const char* method = "POST") {
    return gate_->admit({.method = method,
                         .path = "/v1/completions",
                         .query = {},
                         .headers = {{"Authorization", "Bearer " + key_}},
                         .body = {},
                         .peer = {}},
                        now_);
  }

  test::TemporaryDirectory directory_;
  std::unique_ptr<ApiKeys> keys_;
  std::unique_ptr<KeyGate> gate_;
  std::string key_;
  KeyGate::Clock::time_point now_{std::chrono::hours(1)};
};

TEST_F(KeyGateTest, LetsAMinutesRequestsInAtOnceAndThenOneByOne) {
  open({.requests_per_minute = 6});
  for (int i = 0; i < 6; ++i) {
    const auto pass = ask();
    ASSERT_TRUE(pass) << i;
    EXPECT_EQ(header_of(**pass, "x-ratelimit-limit-requests"), "6");
    EXPECT_EQ(header_of(**pass, "x-ratelimit-remaining-requests"), std::to_string(5 - i));
  }
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().status, 429);
  EXPECT_EQ(refused.error().retry_after, 10);
  EXPECT_TRUE(ask("GET"));  // computes nothing
  now_ += milliseconds(9'900);
  EXPECT_FALSE(ask());
  now_ += milliseconds(100);
  EXPECT_TRUE(ask());
  EXPECT_FALSE(ask());
  now_ += std::chrono::hours(5);  // no more than a minute's are kept
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(ask());
  EXPECT_FALSE(ask());
}

TEST_F(KeyGateTest, CountsTokensWhenTheyAreKnown) {
  open({.tokens_per_minute = 600});
  {
    const auto pass = ask();
    ASSERT_TRUE(pass);
    EXPECT_EQ(header_of(**pass, "x-ratelimit-remaining-tokens"), "600");
    (*pass)->spend_tokens(700, now_);
  }
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().retry_after, 11);  // 101 tokens, 10 a second
  EXPECT_NE(refused.error().message.find("600 tokens"), std::string::npos);
  now_ += seconds(11);
  const auto pass = ask();
  ASSERT_TRUE(pass);
  EXPECT_EQ(header_of(**pass, "x-ratelimit-remaining-tokens"), "10");
}

TEST_F(KeyGateTest, UsesTheServersLimitsWhereTheKeyHasNone) {
  open({.requests_per_minute = 1}, {.max_concurrent = 1, .requests_per_minute = 100});
  const auto first = ask();
  ASSERT_TRUE(first);
  EXPECT_EQ(header_of(**first, "x-ratelimit-limit-requests"), "1");
  const auto second = ask("GET");
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("1 requests open"), std::string::npos);
}

TEST_F(KeyGateTest, GivesAPlaceBackOnceAtTheEndOfAnAnswer) {
  open({.max_concurrent = 1});
  auto first = ask();
  ASSERT_TRUE(first);
  EXPECT_FALSE(ask());
  (*first)->leave();
  const auto second = ask();
  EXPECT_TRUE(second);
  first->reset();
  EXPECT_FALSE(ask());  // the second is still there
}

TEST_F(KeyGateTest, FollowsLimitsThatAreChangedMeanwhile) {
  open({.requests_per_minute = 2});
  EXPECT_TRUE(ask());
  EXPECT_TRUE(ask());
  EXPECT_FALSE(ask());
  ASSERT_TRUE(keys_->limit("one", {.requests_per_minute = 3}));
  EXPECT_TRUE(ask());  // the third of three
  EXPECT_FALSE(ask());
  ASSERT_TRUE(keys_->limit("one", {}));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(ask());
}

TEST_F(KeyGateTest, KnowsTheClassOfEachKey) {
  open({});
  EXPECT_EQ((*ask())->priority(), Priority::kNormal);
  ASSERT_TRUE(keys_->limit("one", {}, Priority::kLow));
  EXPECT_EQ((*ask())->priority(), Priority::kLow);
  key_ = *keys_->create("urgent", {}, Priority::kHigh);
  EXPECT_EQ((*ask())->priority(), Priority::kHigh);
}

TEST_F(KeyGateTest, HasNoLimitsWithoutKeys) {
  KeyGate gate(nullptr, {.max_concurrent = 1, .requests_per_minute = 1});
  const HttpRequest request{
      .method = "POST", .path = "/", .query = {}, .headers = {}, .body = {}, .peer = {}};
  const auto first = gate.admit(request);
  const auto second = gate.admit(request);
  EXPECT_TRUE(first && second);
}

}  // namespace
}  // namespace fathom::serve
