#include "serve/key_gate.h"

#include <utility>

namespace fathom::serve {

KeyGate::Pass::~Pass() {
  const std::lock_guard lock(gate_->mutex_);
  const auto found = gate_->open_.find(key_);
  if (--found->second == 0) gate_->open_.erase(found);
}

ApiResult<std::shared_ptr<KeyGate::Pass>> KeyGate::admit(const HttpRequest& request) {
  std::string name;
  int64_t limit = 0;
  if (keys_ != nullptr) {
    constexpr std::string_view kScheme = "Bearer ";
    std::string_view given = request.header("Authorization");
    if (!given.starts_with(kScheme)) {
      return std::unexpected(
          ApiError{.status = 401,
                   .message = "There is no API key. Send the header \"Authorization: Bearer KEY\".",
                   .code = "missing_api_key"});
    }
    given.remove_prefix(kScheme.size());
    const auto key = keys_->find(given);
    if (!key) return std::unexpected(ApiError{.status = 500, .message = key.error().message});
    if (!*key) {
      return std::unexpected(ApiError{
          .status = 401, .message = "The API key is not valid.", .code = "invalid_api_key"});
    }
    name = (*key)->name;
    limit = (*key)->max_concurrent > 0 ? (*key)->max_concurrent : max_concurrent_;
  }
  const std::lock_guard lock(mutex_);
  const auto found = open_.find(name);
  if (limit > 0 && found != open_.end() && found->second >= limit) {
    return std::unexpected(ApiError{
        .status = 429,
        .message =
            fmt::format("This key has {} requests open, as many as it may have.", found->second),
        .code = "rate_limit_exceeded",
        .retry_after = 1});
  }
  ++open_[name];
  return std::make_shared<Pass>(*this, std::move(name));
}

}  // namespace fathom::serve
