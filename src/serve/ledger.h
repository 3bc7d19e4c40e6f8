// The ledger of requests in SQLite: who asked which model, how many tokens, how long, how it ended.
//
// add() only queues: a thread of its own writes what has come every quarter of a second in one
// transaction, so no token ever waits for the disk, and a killed process loses less than the last
// second. Rows older than the retention are deleted. add() and usage functions: any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "serve/database.h"

namespace fathom::serve {

struct LedgerEntry {
  double time = 0;  // of the request's arrival, seconds since 1970
  std::string id = {};
  std::string key = {};  // its name; empty without keys
  std::string model = {};
  std::string endpoint = {};
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of the prompt, found in the prefix cache
  int64_t completion_tokens = 0;
  double first_token_seconds = 0;
  double seconds = 0;
  std::string outcome = {};  // "stop", "length", "cancelled", "failed"
  double cost_usd = 0;       // by the price table of that time; 0 without one
  // Of a request to the model "auto": "lite" where Lite's answer stayed, else why V1 answered. What
  // Lite had computed for an answer of V1's is an entry of its own: kDropped.
  std::string route = {};
  double saved_usd = 0;  // against V1 answering at once; negative for what was dropped

  static constexpr const char* kDropped = "dropped";
};

// Sums over the entries of one day (UTC), key and model.
struct UsageRow {
  std::string day;
  std::string key = {};
  std::string model;
  int64_t requests = 0;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t failed = 0;
  int64_t cancelled = 0;
  double first_token_seconds = 0;  // mean
  double seconds = 0;              // sum
  double cost_usd = 0;
  int64_t routed = 0;    // requests to the model "auto",
  int64_t kept = 0;      // those of them that Lite's answer was enough for,
  double saved_usd = 0;  // and what that saved against V1 answering all
};

struct UsageQuery {
  int64_t days = 30;     // today and those before it
  std::string key = {};  // only of that one; empty: of all
};

class Ledger {
 public:
  // retention_days: 0 keeps everything.
  static Result<std::unique_ptr<Ledger>> open(const std::filesystem::path& path,
                                              int64_t retention_days);
  ~Ledger();  // writes what is queued
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  void add(LedgerEntry entry);
  void flush();          // returns when what was added before is in the file
  int64_t lost() const;  // entries that could not be written

 private:
  Ledger(Database database, int64_t retention_days);
  void write_loop();
  Status write(const std::vector<LedgerEntry>& entries);
  Status forget_old();

  Database database_;  // of the writer's thread
  const int64_t retention_days_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<LedgerEntry> queue_;
  uint64_t added_ = 0;
  uint64_t written_ = 0;
  int64_t lost_ = 0;
  bool hurry_ = false;
  bool stopping_ = false;
  std::thread writer_;
};

// Newest day first.
Result<std::vector<UsageRow>> read_usage(const std::filesystem::path& path,
                                         const UsageQuery& query);

}  // namespace fathom::serve
