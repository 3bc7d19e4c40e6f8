#include "plan/deployment.h"

namespace fathom::plan {

std::string_view name(Bound bound) {
  switch (bound) {
    case Bound::kMemory:
      return "memory bandwidth";
    case Bound::kCompute:
      return "arithmetic";
    case Bound::kLink:
      return "links";
    case Bound::kHost:
      return "host link";
    case Bound::kOverhead:
      return "overhead";
  }
  return "";
}

}  // namespace fathom::plan
