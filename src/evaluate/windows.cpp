#include "evaluate/windows.h"

#include <algorithm>

namespace fathom {

Result<std::vector<Window>> cut_windows(int64_t tokens, const Windowing& windowing) {
  if (windowing.context < 2) {
    return usage_error("A context of {} tokens predicts nothing; it must be at least 2.",
                       windowing.context);
  }
  const int64_t stride = windowing.stride == 0 ? windowing.context : windowing.stride;
  if (stride < 1 || stride > windowing.context) {
    return usage_error("The stride is {}; it must be 1 to {}, the context.", stride,
                       windowing.context);
  }
  std::vector<Window> windows;
  int64_t done = 0;  // tokens before this one are scored
  for (int64_t begin = 0; done < tokens; begin += stride) {
    const int64_t end = std::min(tokens, begin + windowing.context);
    const int64_t scored = std::max(begin + 1, done);
    if (scored < end) windows.push_back({begin, end, scored});
    done = end;
  }
  return windows;
}

}  // namespace fathom
