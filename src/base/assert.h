// FATHOM_ASSERT(condition): a broken invariant is our bug, not the user's; say where and abort.
// Active in every build type: a wrong answer costs more than a compare.
#pragma once

namespace fathom {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);
}  // namespace fathom

#define FATHOM_ASSERT(condition) \
  ((condition) ? void(0) : ::fathom::assertion_failed(#condition, __FILE__, __LINE__))
