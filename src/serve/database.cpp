#include "serve/database.h"

namespace fathom::serve {

Result<std::filesystem::path> default_database_path() {
  if (const auto folder = data_folder()) return *folder / "serve.db";
  return fail("There is no HOME to keep the database in. Name a file with --database.");
}

}  // namespace fathom::serve
