// Ends a streamed answer before the first stop string. Text that may be the beginning of one is
// held back until the next pieces decide, so what push() returns is never taken back and the
// result does not depend on how the answer was cut into pieces.
//
// The stop string that is complete first ends the answer; of several that end together, the one
// that began first. Empty stop strings are ignored. One thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fathom {

class StopFilter {
 public:
  explicit StopFilter(std::vector<std::string> stops);

  // The text that became certain with this piece; empty for good once stopped().
  std::string push(std::string_view piece);
  bool stopped() const { return stopped_; }
  // The answer is over without a stop string: what was still held back.
  std::string finish();

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace fathom
