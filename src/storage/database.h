// A SQLite connection and its statements, as all that the product keeps uses them: write-ahead
// logging, so that a killed process loses nothing that was committed. One thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fathom {

class Database {
 public:
  // Makes the file, readable by its owner alone, and its folder where they are missing.
  static Result<Database> open(const std::filesystem::path& path);

  Status run(const std::string& sql);
  // Does nothing where the table has it: for files that an older version made.
  Status add_column(std::string_view table, std::string_view column, std::string_view type);

 private:
  friend class Statement;
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::unique_ptr<sqlite3, Close> handle_;
  std::string path_;
};

// Parameters count from 1, columns from 0.
class Statement {
 public:
  static Result<Statement> prepare(const Database& database, std::string_view sql);

  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, int64_t value);
  Statement& bind(int index, double value);

  // True: there is a row. False: there are no more, or the statement returns none; the statement is
  // then ready for its next use.
  Result<bool> step();
  int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  bool is_null(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
  const Database* database_ = nullptr;
};

// $XDG_DATA_HOME/fathom, or ~/.local/share/fathom; may not exist yet. Nothing where there is
// neither variable.
std::optional<std::filesystem::path> data_folder();

}  // namespace fathom
