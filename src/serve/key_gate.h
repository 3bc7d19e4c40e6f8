// Who may come in, and how often: checks the Authorization header against the API keys and holds
// each key to its limits. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "serve/api_error.h"
#include "serve/api_keys.h"
#include "serve/key_limits.h"

namespace fathom::serve {

class KeyGate {
 public:
  using Clock = std::chrono::steady_clock;

  // keys may be null: then nobody needs one, and there are no limits. limits: for what a key has no
  // limit of its own.
  KeyGate(ApiKeys* keys, const KeyLimits& limits) : keys_(keys), limits_(limits) {}

  // One open request. Its place is given back by leave(), or when it goes. One thread at a time.
  class Pass {
   public:
    Pass(KeyGate& gate, ApiKey key, Headers headers)
        : gate_(&gate),
          key_(std::move(key.name)),
          priority_(key.priority),
          headers_(std::move(headers)) {}
    ~Pass() { leave(); }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

    const std::string& key() const { return key_; }      // its name; empty without keys
    Priority priority() const { return priority_; }      // of what it asks for
    const Headers& headers() const { return headers_; }  // x-ratelimit-*, as OpenAI's API has them
    // Before the end of the answer is sent: whoever has it may ask again at once.
    void leave();
    void spend_tokens(int64_t count, Clock::time_point now = Clock::now());

   private:
    KeyGate* gate_;
    std::string key_;
    Priority priority_;
    Headers headers_;
    bool left_ = false;
  };

  // Only POST requests count against the limits per minute: the others compute nothing.
  ApiResult<std::shared_ptr<Pass>> admit(const HttpRequest& request,
                                         Clock::time_point now = Clock::now());

 private:
  struct Account {
    KeyLimits limits;
    int64_t open = 0;
    MinuteBucket requests;
    MinuteBucket tokens;
  };
  ApiResult<ApiKey> key_of(const HttpRequest& request);
  static ApiStatus check(const Account& account, bool computes, Clock::time_point now);

  ApiKeys* const keys_;
  const KeyLimits limits_;
  std::mutex mutex_;
  std::map<std::string, Account> accounts_;  // of the keys that were used, by their names
};

}  // namespace fathom::serve
