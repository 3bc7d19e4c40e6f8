#include "serve/ledger.h"

#include <chrono>
#include <utility>

namespace fathom::serve {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBatchTime{250};
constexpr std::chrono::hours kForgetEvery{1};
constexpr size_t kMostQueued = 200'000;
constexpr double kDay = 86400;

constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS requests (time REAL, id TEXT, key TEXT, model TEXT, endpoint TEXT, "
    "prompt_tokens INTEGER, cached_tokens INTEGER, completion_tokens INTEGER, "
    "first_token_seconds REAL, seconds REAL, outcome TEXT);"
    "CREATE INDEX IF NOT EXISTS requests_time ON requests (time);";

// The table was first made without the cost, and then without the routes.
Status make_table(Database& database) {
  FATHOM_CHECK(database.run(kSchema));
  FATHOM_CHECK(database.add_column("requests", "cost_usd", "REAL DEFAULT 0"));
  FATHOM_CHECK(database.add_column("requests", "route", "TEXT DEFAULT ''"));
  return database.add_column("requests", "saved_usd", "REAL DEFAULT 0");
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

Result<std::unique_ptr<Ledger>> Ledger::open(const std::filesystem::path& path,
                                             int64_t retention_days) {
  FATHOM_TRY(Database database, Database::open(path));
  FATHOM_CHECK(make_table(database));
  return std::unique_ptr<Ledger>(new Ledger(std::move(database), retention_days));
}

Ledger::Ledger(Database database, int64_t retention_days)
    : database_(std::move(database)),
      retention_days_(retention_days),
      writer_([this] { write_loop(); }) {}

Ledger::~Ledger() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  writer_.join();
}

void Ledger::add(LedgerEntry entry) {
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= kMostQueued) {
    ++lost_;
    return;
  }
  queue_.push_back(std::move(entry));
  ++added_;
  if (queue_.size() == 1) changed_.notify_all();
}

void Ledger::flush() {
  std::unique_lock lock(mutex_);
  const uint64_t wanted = added_;
  hurry_ = true;
  changed_.notify_all();
  changed_.wait(lock, [&] { return written_ >= wanted; });
}

int64_t Ledger::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

void Ledger::write_loop() {
  auto next_forget = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait_until(lock, next_forget, [&] { return stopping_ || !queue_.empty(); });
    // Others may join the first, for one write to the disk.
    changed_.wait_for(lock, kBatchTime, [&] { return stopping_ || hurry_; });
    hurry_ = false;
    const bool last = stopping_;
    const std::vector<LedgerEntry> entries = std::exchange(queue_, {});
    lock.unlock();
    const Status status = write(entries);
    if (std::chrono::steady_clock::now() >= next_forget) {
      static_cast<void>(forget_old());  // the next hour tries again
      next_forget = std::chrono::steady_clock::now() + kForgetEvery;
    }
    lock.lock();
    written_ += entries.size();
    if (!status) lost_ += static_cast<int64_t>(entries.size());
    changed_.notify_all();
    if (last && queue_.empty()) return;
  }
}

Status Ledger::write(const std::vector<LedgerEntry>& entries) {
  if (entries.empty()) return {};
  FATHOM_CHECK(database_.run("BEGIN"));
  const Status status = [&]() -> Status {
    FATHOM_TRY(
        auto insert,
        Statement::prepare(
            database_, "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    for (const LedgerEntry& entry : entries) {
      insert.bind(1, entry.time).bind(2, entry.id).bind(3, entry.key).bind(4, entry.model);
      insert.bind(5, entry.endpoint).bind(6, entry.prompt_tokens).bind(7, entry.cached_tokens);
      insert.bind(8, entry.completion_tokens).bind(9, entry.first_token_seconds);
      insert.bind(10, entry.seconds).bind(11, entry.outcome).bind(12, entry.cost_usd);
      insert.bind(13, entry.route).bind(14, entry.saved_usd);
      FATHOM_CHECK(insert.step());
    }
    return {};
  }();
  if (!status) {
    static_cast<void>(database_.run("ROLLBACK"));
    return status;
  }
  return database_.run("COMMIT");
}

Status Ledger::forget_old() {
  if (retention_days_ <= 0) return {};
  FATHOM_TRY(auto remove, Statement::prepare(database_, "DELETE FROM requests WHERE time < ?"));
  remove.bind(1, now() - kDay * static_cast<double>(retention_days_));
  FATHOM_CHECK(remove.step());
  return {};
}

Result<std::vector<UsageRow>> read_usage(const std::filesystem::path& path,
                                         const UsageQuery& query) {
  FATHOM_TRY(Database database, Database::open(path));
  FATHOM_CHECK(make_table(database));
  FATHOM_TRY(
      auto select,
      Statement::prepare(
          database,
          "SELECT date(time, 'unixepoch'), key, model, sum(route <> 'dropped'), "
          "sum(prompt_tokens), "
          "sum(cached_tokens), sum(completion_tokens), sum(outcome = 'failed'), "
          "sum(outcome = 'cancelled'), "
          "coalesce(avg(CASE WHEN first_token_seconds > 0 THEN first_token_seconds END), 0), "
          "sum(seconds), sum(cost_usd), sum(route NOT IN ('', 'dropped')), sum(route = 'lite'), "
          "sum(saved_usd) FROM requests "
          "WHERE date(time, 'unixepoch') > date('now', '-' || ? || ' days') "
          "AND (?2 = '' OR key = ?2) GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2, 3"));
  select.bind(1, query.days).bind(2, query.key);
  std::vector<UsageRow> rows;
  while (true) {
    FATHOM_TRY(const bool more, select.step());
    if (!more) return rows;
    rows.push_back({.day = select.text(0),
                    .key = select.text(1),
                    .model = select.text(2),
                    .requests = select.integer(3),
                    .prompt_tokens = select.integer(4),
                    .cached_tokens = select.integer(5),
                    .completion_tokens = select.integer(6),
                    .failed = select.integer(7),
                    .cancelled = select.integer(8),
                    .first_token_seconds = select.real(9),
                    .seconds = select.real(10),
                    .cost_usd = select.real(11),
                    .routed = select.integer(12),
                    .kept = select.integer(13),
                    .saved_usd = select.real(14)});
  }
}

}  // namespace fathom::serve
