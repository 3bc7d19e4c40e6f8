// API keys: made and revoked by `fathom keys`, checked at each request. The database holds SHA-256
// hashes alone: a key is 256 random bits, which no dictionary holds, so a plain hash keeps it safe.
// Any thread. A key revoked by another process counts as revoked at the next request.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/request.h"
#include "serve/database.h"
#include "serve/key_limits.h"

namespace fathom::serve {

struct ApiKey {
  std::string name;
  std::string beginning;                  // "fathom-3fa8...": to recognise it by
  int64_t created = 0;                    // seconds since 1970
  int64_t revoked = 0;                    // 0: valid
  KeyLimits limits;                       // 0: the server's own
  Priority priority = Priority::kNormal;  // of its requests in the queue
};

class ApiKeys {
 public:
  static Result<std::unique_ptr<ApiKeys>> open(const std::filesystem::path& path);

  // The key itself, which is shown once and kept nowhere. Fails where the name is taken.
  Result<std::string> create(const std::string& name, const KeyLimits& limits,
                             Priority priority = Priority::kNormal);
  // Counts from the next request on.
  Status limit(const std::string& name, const KeyLimits& limits,
               Priority priority = Priority::kNormal);
  Status revoke(const std::string& name);
  Result<std::vector<ApiKey>> list();
  // The valid key with that text, if there is one.
  Result<std::optional<ApiKey>> find(std::string_view key);

 private:
  explicit ApiKeys(Database database) : database_(std::move(database)) {}

  std::mutex mutex_;
  Database database_;
  std::optional<Statement> find_;
};

}  // namespace fathom::serve
