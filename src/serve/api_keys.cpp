#include "serve/api_keys.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <chrono>
#include <utility>

#include "base/quote.h"

namespace fathom::serve {
namespace {

constexpr std::string_view kPrefix = "fathom-";
constexpr size_t kBeginning = 6;  // digits of a key that may be shown
constexpr size_t kLongestName = 64;
// What read_key() reads.
constexpr std::string_view kSelect =
    "SELECT name, beginning, created, revoked, max_concurrent, requests_per_minute, "
    "tokens_per_minute, priority FROM keys";

std::string hex(const unsigned char* bytes, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

std::string hash_of(std::string_view key) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(key.data(), key.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return hex(digest.data(), size);
}

int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

ApiKey read_key(const Statement& row) {
  return {.name = row.text(0),
          .beginning = row.text(1),
          .created = row.integer(2),
          .revoked = row.integer(3),
          .limits = {.max_concurrent = row.integer(4),
                     .requests_per_minute = row.integer(5),
                     .tokens_per_minute = row.integer(6)},
          .priority = static_cast<Priority>(row.integer(7))};
}

// Runs an update of the key with that name, which must return its row.
Status expect_row(Statement& update, const std::string& name) {
  FATHOM_TRY(const bool found, update.step());
  if (!found) {
    return fail("There is no valid key called {}. See fathom keys list.", in_quotes(name));
  }
  FATHOM_CHECK(update.step());
  return {};
}

}  // namespace

Result<std::unique_ptr<ApiKeys>> ApiKeys::open(const std::filesystem::path& path) {
  FATHOM_TRY(Database database, Database::open(path));
  FATHOM_CHECK(
      database.run("CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, beginning TEXT, "
                   "hash TEXT UNIQUE, created INTEGER, revoked INTEGER DEFAULT 0, "
                   "max_concurrent INTEGER DEFAULT 0)"));
  // The table was first made without these.
  FATHOM_CHECK(database.add_column("keys", "requests_per_minute", "INTEGER DEFAULT 0"));
  FATHOM_CHECK(database.add_column("keys", "tokens_per_minute", "INTEGER DEFAULT 0"));
  FATHOM_CHECK(database.add_column("keys", "priority", "INTEGER DEFAULT 1"));
  std::unique_ptr<ApiKeys> keys(new ApiKeys(std::move(database)));
  FATHOM_TRY(keys->find_,
             Statement::prepare(keys->database_,
                                std::string(kSelect) + " WHERE hash = ? AND revoked = 0"));
  return keys;
}

Result<std::string> ApiKeys::create(const std::string& name, const KeyLimits& limits,
                                    Priority priority) {
  if (name.empty() || name.size() > kLongestName) {
    return usage_error("A key's name has 1 to {} characters.", kLongestName);
  }
  const std::lock_guard lock(mutex_);
  FATHOM_TRY(auto taken, Statement::prepare(database_, "SELECT revoked FROM keys WHERE name = ?"));
  FATHOM_TRY(const bool exists, taken.bind(1, name).step());
  if (exists) {
    return fail("There is a key called {}{}. Choose another name.", in_quotes(name),
                taken.integer(0) == 0 ? "" : " already, a revoked one");
  }
  std::array<unsigned char, 32> secret{};
  if (RAND_bytes(secret.data(), secret.size()) != 1) {
    return fail("There are no random numbers to make a key of.");
  }
  const std::string digits = hex(secret.data(), secret.size());
  const std::string key = std::string(kPrefix) + digits;
  FATHOM_TRY(auto insert,
             Statement::prepare(database_,
                                "INSERT INTO keys (name, beginning, hash, created, max_concurrent, "
                                "requests_per_minute, tokens_per_minute, priority) "
                                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.bind(1, name).bind(2, std::string(kPrefix) + digits.substr(0, kBeginning));
  insert.bind(3, hash_of(key)).bind(4, now()).bind(5, limits.max_concurrent);
  insert.bind(6, limits.requests_per_minute).bind(7, limits.tokens_per_minute);
  insert.bind(8, static_cast<int64_t>(priority));
  FATHOM_CHECK(insert.step());
  return key;
}

Status ApiKeys::limit(const std::string& name, const KeyLimits& limits, Priority priority) {
  const std::lock_guard lock(mutex_);
  FATHOM_TRY(auto update, Statement::prepare(
                              database_,
                              "UPDATE keys SET max_concurrent = ?, requests_per_minute = ?, "
                              "tokens_per_minute = ?, priority = ? WHERE name = ? AND revoked = 0 "
                              "RETURNING name"));
  update.bind(1, limits.max_concurrent).bind(2, limits.requests_per_minute);
  update.bind(3, limits.tokens_per_minute).bind(4, static_cast<int64_t>(priority)).bind(5, name);
  return expect_row(update, name);
}

Status ApiKeys::revoke(const std::string& name) {
  const std::lock_guard lock(mutex_);
  FATHOM_TRY(auto update,
             Statement::prepare(database_,
                                "UPDATE keys SET revoked = ? WHERE name = ? AND revoked = 0 "
                                "RETURNING name"));
  update.bind(1, now()).bind(2, name);
  return expect_row(update, name);
}

Result<std::vector<ApiKey>> ApiKeys::list() {
  const std::lock_guard lock(mutex_);
  FATHOM_TRY(auto select,
             Statement::prepare(database_, std::string(kSelect) + " ORDER BY created, name"));
  std::vector<ApiKey> keys;
  while (true) {
    FATHOM_TRY(const bool more, select.step());
    if (!more) return keys;
    keys.push_back(read_key(select));
  }
}

Result<std::optional<ApiKey>> ApiKeys::find(std::string_view key) {
  const std::lock_guard lock(mutex_);
  FATHOM_TRY(const bool found, find_->bind(1, hash_of(key)).step());
  if (!found) return std::nullopt;
  ApiKey result = read_key(*find_);
  FATHOM_CHECK(find_->step());  // ends the read
  return result;
}

}  // namespace fathom::serve
