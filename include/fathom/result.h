// Errors as values. Everything that depends on the user's input or on a file returns Result<T>;
// broken invariants inside the engine abort with an assertion instead.
//
// An Error's message is one or two sentences that say what was wrong, where, and what to do.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace fathom {

enum class ErrorKind {
  kFailed,  // the request was understood and could not be carried out (exit code 1)
  kUsage,   // the request itself makes no sense (exit code 2)
};

struct Error {
  std::string message;
  ErrorKind kind = ErrorKind::kFailed;
};

template <typename T>
using Result = std::expected<T, Error>;

using Status = Result<void>;

}  // namespace fathom
