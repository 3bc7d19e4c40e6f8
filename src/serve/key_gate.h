// Who may come in, and how often at once: checks the Authorization header against the API keys and
// counts the open requests of each key. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "serve/api_error.h"
#include "serve/api_keys.h"

namespace fathom::serve {

class KeyGate {
 public:
  // keys may be null: then nobody needs one. max_concurrent: for keys without a limit of their own;
  // 0: none.
  KeyGate(ApiKeys* keys, int64_t max_concurrent) : keys_(keys), max_concurrent_(max_concurrent) {}

  // One open request; gives its place back when it goes.
  class Pass {
   public:
    Pass(KeyGate& gate, std::string key) : gate_(&gate), key_(std::move(key)) {}
    ~Pass();
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    const std::string& key() const { return key_; }  // its name; empty without keys

   private:
    KeyGate* gate_;
    std::string key_;
  };

  ApiResult<std::shared_ptr<Pass>> admit(const HttpRequest& request);
  bool needs_keys() const { return keys_ != nullptr; }

 private:
  ApiKeys* const keys_;
  const int64_t max_concurrent_;
  std::mutex mutex_;
  std::map<std::string, int64_t> open_;
};

}  // namespace fathom::serve
