#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace fathom {

void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "fathom: broken invariant at %s:%d: %s. This is a bug in fathom.\n", file,
               line, condition);
  std::abort();
}

}  // namespace fathom
