#include "base/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace fathom {
namespace {

constexpr auto kTerminalInterval = std::chrono::milliseconds(100);
constexpr auto kLogInterval = std::chrono::seconds(5);
constexpr auto kSpeedWindow = std::chrono::seconds(5);

int terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

bool stderr_draws_bars() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) != 0 && (term == nullptr || std::string_view(term) != "dumb");
}

}  // namespace

std::string format_bytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.95 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::ceil(std::clamp(seconds, 0.0, 3.5e6)));
  if (whole >= 3600) {
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  }
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string render_progress_line(const std::string& label, int64_t done, int64_t total,
                                 double bytes_per_second, int columns) {
  std::string amounts;
  if (total > 0) {
    const double fraction =
        std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
    amounts = fmt::format("{:3}%  {} of {}", static_cast<int>(fraction * 100), format_bytes(done),
                          format_bytes(total));
  } else {
    amounts = format_bytes(done);
  }
  if (bytes_per_second > 0) {
    amounts += fmt::format("  {}/s", format_bytes(static_cast<int64_t>(bytes_per_second)));
    if (total > done) {
      const double left = static_cast<double>(total - done) / bytes_per_second;
      amounts += fmt::format("  {} left", format_duration(left));
    }
  }
  constexpr int kMinBar = 10;
  constexpr int kMaxBar = 30;
  const int room = columns - static_cast<int>(label.size() + amounts.size()) - 6;
  std::string line = label + "  ";
  if (total > 0 && room >= kMinBar) {
    const int width = std::min(room, kMaxBar);
    const double fraction =
        std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
    const int filled = static_cast<int>(fraction * width);
    line += "[" + std::string(filled, '#') + std::string(width - filled, '-') + "]  ";
  }
  line += amounts;
  if (columns > 0 && line.size() > static_cast<size_t>(columns)) line.resize(columns);
  return line;
}

Progress::Progress(std::string label, int64_t total)
    : label_(std::move(label)),
      total_(total),
      terminal_(stderr_draws_bars()),
      last_draw_(Clock::now()) {
  samples_.emplace_back(last_draw_, 0);
}

Progress::~Progress() {
  finish();
}

void Progress::start_at(int64_t done) {
  done_ = done;
  samples_.clear();
  samples_.emplace_back(Clock::now(), done);
}

void Progress::set(int64_t done) {
  done_ = done;
  const auto now = Clock::now();
  if (now - last_draw_ < (terminal_ ? Clock::duration(kTerminalInterval) : kLogInterval)) return;
  samples_.emplace_back(now, done);
  while (samples_.size() > 2 && now - samples_.front().first > kSpeedWindow) samples_.pop_front();
  draw(now);
}

double Progress::bytes_per_second(Clock::time_point now) const {
  const std::chrono::duration<double> elapsed = now - samples_.front().first;
  const int64_t bytes = done_ - samples_.front().second;
  return bytes > 0 && elapsed.count() > 0 ? static_cast<double>(bytes) / elapsed.count() : 0;
}

void Progress::draw(Clock::time_point now) {
  last_draw_ = now;
  drawn_ = true;
  // One column stays free: a full line would make some terminals wrap.
  const int columns = terminal_ ? terminal_columns() - 1 : 160;
  std::string line = render_progress_line(label_, done_, total_, bytes_per_second(now), columns);
  line = terminal_ ? "\r\x1b[K" + line : line + "\n";
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (!drawn_ && !(terminal_ && done_ > 0)) return;
  draw(Clock::now());
  if (terminal_) std::fputs("\n", stderr);
}

}  // namespace fathom
