// Making and passing on errors inside the engine. The types are public: fathom/result.h.
#pragma once

#include <fmt/format.h>

#include <utility>

#include "fathom/result.h"

namespace fathom {

// return fail("{}: the header says {} tensors, the file has room for {}", path, n, room);
template <typename... Args>
[[nodiscard]] std::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{fmt::format(format, std::forward<Args>(args)...)});
}

template <typename... Args>
[[nodiscard]] std::unexpected<Error> usage_error(fmt::format_string<Args...> format,
                                                 Args&&... args) {
  return std::unexpected(
      Error{fmt::format(format, std::forward<Args>(args)...), ErrorKind::kUsage});
}

}  // namespace fathom

#define FATHOM_CONCAT_INNER(a, b) a##b
#define FATHOM_CONCAT(a, b) FATHOM_CONCAT_INNER(a, b)

// FATHOM_TRY(auto file, MappedFile::open(path)): declares `file`, or returns the error.
// C++23's monadic members of std::expected are missing from GCC 12's library.
#define FATHOM_TRY(declaration, expression) \
  FATHOM_TRY_NAMED(declaration, expression, FATHOM_CONCAT(fathom_result_, __COUNTER__))
#define FATHOM_TRY_NAMED(declaration, expression, name)       \
  auto&& name = (expression);                                 \
  if (!name) return std::unexpected(std::move(name).error()); \
  declaration = *std::move(name)

// FATHOM_CHECK(validate(header)): returns the error of a Status, if it is one.
#define FATHOM_CHECK(expression)                                \
  do {                                                          \
    if (auto&& fathom_status = (expression); !fathom_status)    \
      return std::unexpected(std::move(fathom_status).error()); \
  } while (false)
