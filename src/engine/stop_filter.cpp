#include "engine/stop_filter.h"

#include <algorithm>
#include <utility>

namespace fathom {
namespace {

// Length of the longest end of `text` that is a proper beginning of `stop`.
size_t undecided_length(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.ends_with(stop.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

StopFilter::StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, std::string());
}

std::string StopFilter::push(std::string_view piece) {
  if (stopped_) return {};
  held_ += piece;

  size_t first_end = std::string::npos;
  size_t first_begin = 0;
  for (const auto& stop : stops_) {
    const size_t begin = held_.find(stop);
    if (begin == std::string::npos) continue;
    const size_t end = begin + stop.size();
    if (end < first_end || (end == first_end && begin < first_begin)) {
      first_end = end;
      first_begin = begin;
    }
  }
  if (first_end != std::string::npos) {
    stopped_ = true;
    held_.resize(first_begin);
    return std::exchange(held_, {});
  }

  size_t undecided = 0;
  for (const auto& stop : stops_) undecided = std::max(undecided, undecided_length(held_, stop));
  std::string certain = held_.substr(0, held_.size() - undecided);
  held_.erase(0, certain.size());
  return certain;
}

std::string StopFilter::finish() {
  return std::exchange(held_, {});
}

}  // namespace fathom
