#include "storage/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace fathom {

void Database::Close::operator()(sqlite3* database) const {
  sqlite3_close_v2(database);
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Result<Database> Database::open(const std::filesystem::path& path) {
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) {
    return fail("The folder {} cannot be made: {}.", path.parent_path().string(), error.message());
  }
  // SQLite would make it readable for all.
  if (const int made = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600); made >= 0) {
    ::close(made);
  }
  Database database;
  database.path_ = path.string();
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  database.handle_.reset(handle);
  if (code != SQLITE_OK) {
    return fail("The database {} cannot be opened: {}.", path.string(), sqlite3_errstr(code));
  }
  sqlite3_busy_timeout(handle, 5000);
  FATHOM_CHECK(database.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"));
  return database;
}

Status Database::run(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return fail("The database {} cannot be used: {}.", path_, sqlite3_errmsg(handle_.get()));
  }
  return {};
}

Status Database::add_column(std::string_view table, std::string_view column,
                            std::string_view type) {
  const auto exists = [&]() -> Result<bool> {
    FATHOM_TRY(auto found,
               Statement::prepare(*this, "SELECT 1 FROM pragma_table_info(?) WHERE name = ?"));
    return found.bind(1, table).bind(2, column).step();
  };
  FATHOM_TRY(const bool before, exists());
  if (before) return {};
  const Status added = run(fmt::format("ALTER TABLE {} ADD COLUMN {} {}", table, column, type));
  if (added) return {};
  // Another process may have added it between the two.
  FATHOM_TRY(const bool meanwhile, exists());
  return meanwhile ? Status() : added;
}

Result<Statement> Statement::prepare(const Database& database, std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  const int code = sqlite3_prepare_v2(database.handle_.get(), sql.data(),
                                      static_cast<int>(sql.size()), &handle, nullptr);
  Statement statement;
  statement.handle_.reset(handle);
  statement.database_ = &database;
  if (code != SQLITE_OK) {
    return fail("The database {} cannot be used: {}.", database.path_,
                sqlite3_errmsg(database.handle_.get()));
  }
  return statement;
}

Statement& Statement::bind(int index, std::string_view text) {
  sqlite3_bind_text64(handle_.get(), index, text.data(), text.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind(int index, int64_t value) {
  sqlite3_bind_int64(handle_.get(), index, value);
  return *this;
}

Statement& Statement::bind(int index, double value) {
  sqlite3_bind_double(handle_.get(), index, value);
  return *this;
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  sqlite3_reset(handle_.get());
  if (code == SQLITE_DONE) return false;
  return fail("The database {} cannot be used: {}.", database_->path_, sqlite3_errstr(code));
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(handle_.get(), column);
}

double Statement::real(int column) const {
  return sqlite3_column_double(handle_.get(), column);
}

std::string Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), column));
  return text == nullptr ? std::string() : std::string(text);
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL;
}

std::optional<std::filesystem::path> data_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (const std::string data = variable("XDG_DATA_HOME"); data.starts_with('/')) {
    return std::filesystem::path(data) / "fathom";
  }
  if (const std::string home = variable("HOME"); !home.empty()) {
    return std::filesystem::path(home) / ".local" / "share" / "fathom";
  }
  return std::nullopt;
}

}  // namespace fathom
