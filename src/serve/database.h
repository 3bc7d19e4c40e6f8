// Where the server keeps its keys and its ledger.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "storage/database.h"  // IWYU pragma: export

namespace fathom::serve {

using fathom::Database;
using fathom::Statement;

// $XDG_DATA_HOME/fathom/serve.db, or ~/.local/share/fathom/serve.db.
Result<std::filesystem::path> default_database_path();

}  // namespace fathom::serve
