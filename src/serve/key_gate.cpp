#include "serve/key_gate.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fathom::serve {
namespace {

ApiError too_many(std::string message, double seconds) {
  return {.status = 429,
          .message = std::move(message),
          .code = "rate_limit_exceeded",
          .retry_after = std::max(1, static_cast<int>(std::ceil(seconds)))};
}

void add_headers(Headers& headers, const char* what, int64_t limit, const MinuteBucket& bucket,
                 KeyGate::Clock::time_point now) {
  if (limit == 0) return;
  headers.emplace_back(fmt::format("x-ratelimit-limit-{}", what), std::to_string(limit));
  headers.emplace_back(fmt::format("x-ratelimit-remaining-{}", what),
                       std::to_string(std::max<int64_t>(bucket.left(now), 0)));
  headers.emplace_back(fmt::format("x-ratelimit-reset-{}", what),
                       fmt::format("{:.3f}s", bucket.seconds_until_full(now)));
}

}  // namespace

void KeyGate::Pass::leave() {
  const std::lock_guard lock(gate_->mutex_);
  if (std::exchange(left_, true)) return;
  --gate_->accounts_.at(key_).open;
}

void KeyGate::Pass::spend_tokens(int64_t count, Clock::time_point now) {
  const std::lock_guard lock(gate_->mutex_);
  Account& account = gate_->accounts_.at(key_);
  if (account.limits.tokens_per_minute > 0) account.tokens.spend(count, now);
}

ApiResult<ApiKey> KeyGate::key_of(const HttpRequest& request) {
  constexpr std::string_view kScheme = "Bearer ";
  std::string_view given = request.header("Authorization");
  if (!given.starts_with(kScheme)) {
    return std::unexpected(
        ApiError{.status = 401,
                 .message = "There is no API key. Send the header \"Authorization: Bearer KEY\".",
                 .code = "missing_api_key"});
  }
  given.remove_prefix(kScheme.size());
  auto key = keys_->find(given);
  if (!key) return std::unexpected(ApiError{.status = 500, .message = key.error().message});
  if (!*key) {
    return std::unexpected(
        ApiError{.status = 401, .message = "The API key is not valid.", .code = "invalid_api_key"});
  }
  return **std::move(key);
}

ApiStatus KeyGate::check(const Account& account, bool computes, Clock::time_point now) {
  const KeyLimits& limits = account.limits;
  if (limits.max_concurrent > 0 && account.open >= limits.max_concurrent) {
    return std::unexpected(too_many(
        fmt::format("This key has {} requests open, as many as it may have.", account.open), 1));
  }
  if (!computes) return {};
  if (limits.requests_per_minute > 0 && account.requests.left(now) < 1) {
    return std::unexpected(too_many(fmt::format("This key has used up its {} requests in a minute.",
                                                limits.requests_per_minute),
                                    account.requests.seconds_until(1, now)));
  }
  if (limits.tokens_per_minute > 0 && account.tokens.left(now) < 1) {
    return std::unexpected(too_many(
        fmt::format("This key has used up its {} tokens in a minute.", limits.tokens_per_minute),
        account.tokens.seconds_until(1, now)));
  }
  return {};
}

ApiResult<std::shared_ptr<KeyGate::Pass>> KeyGate::admit(const HttpRequest& request,
                                                         Clock::time_point now) {
  ApiKey key;
  if (keys_ != nullptr) {
    FATHOM_TRY(key, key_of(request));
    key.limits = key.limits.or_else(limits_);
  }
  const bool computes = request.method == "POST";
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[key.name];
  account.limits = key.limits;  // they may have been changed since
  account.requests.set_allowance(key.limits.requests_per_minute, now);
  account.tokens.set_allowance(key.limits.tokens_per_minute, now);
  FATHOM_CHECK(check(account, computes, now));
  if (computes && key.limits.requests_per_minute > 0) account.requests.spend(1, now);
  Headers headers;
  add_headers(headers, "requests", key.limits.requests_per_minute, account.requests, now);
  add_headers(headers, "tokens", key.limits.tokens_per_minute, account.tokens, now);
  ++account.open;
  return std::make_shared<Pass>(*this, std::move(key), std::move(headers));
}

}  // namespace fathom::serve
