// JSON lines: a text with one JSON object on each line, as traces and logs have it. Empty lines do
// not count.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/function_ref.h"
#include "base/result.h"

namespace fathom {

// Calls `read` for each object in order. The first line that is no object, or that `read` fails
// for, is an error with the file's name and the line's number before the reason, which has
// no full stop of its own.
Status read_json_lines(std::string_view text, std::string_view file,
                       FunctionRef<Status(const nlohmann::json&)> read);

}  // namespace fathom
