#include "cli/work_progress.h"

#include <fmt/format.h>

#include <utility>

#include "cli/terminal.h"

namespace fathom::cli {

WorkProgress::WorkProgress(std::string label)
    : label_(std::move(label)),
      start_(std::chrono::steady_clock::now()),
      terminal_(is_terminal(Stream::kError)) {}

WorkProgress::~WorkProgress() {
  if (shown_percent_ >= 0) note("\r\033[K");
}

void WorkProgress::show(double fraction) {
  if (!terminal_ || std::chrono::steady_clock::now() - start_ < std::chrono::seconds(1)) return;
  const int percent = static_cast<int>(fraction * 100);
  if (percent == shown_percent_) return;
  shown_percent_ = percent;
  note(fmt::format("\r\033[K{}: {}%", label_, percent));
}

}  // namespace fathom::cli
