// How far a long transfer is: a bar with speed and time left on a terminal, a plain line now and
// then elsewhere (a log wants neither carriage returns nor hundreds of lines). Amounts are bytes.
// One thread at a time; writes to stderr only, because stdout belongs to the answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>

namespace fathom {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  // total < 0: not known. A label names what is on its way, in a few words.
  Progress(std::string label, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void set_label(std::string label) { label_ = std::move(label); }
  void set_total(int64_t total) { total_ = total; }
  // What was there before this run; it does not count for the speed.
  void start_at(int64_t done);
  void set(int64_t done);
  void advance(int64_t bytes) { set(done_ + bytes); }
  // Draws the last state and ends the line. Also done by the destructor.
  void finish();

 private:
  void draw(Clock::time_point now);
  double bytes_per_second(Clock::time_point now) const;

  std::string label_;
  int64_t total_;
  int64_t done_ = 0;
  bool terminal_;
  bool drawn_ = false;
  bool finished_ = false;
  Clock::time_point last_draw_;
  std::deque<std::pair<Clock::time_point, int64_t>> samples_;  // of the last few seconds
};

// "SmolLM2  [######----]  62%  58.1 of 92.9 MB  12.3 MB/s  0:03 left", at most `columns` wide.
std::string render_progress_line(const std::string& label, int64_t done, int64_t total,
                                 double bytes_per_second, int columns);

std::string format_bytes(int64_t bytes);      // "92.9 MB": decimal units, as disks and hubs count
std::string format_duration(double seconds);  // "0:04", "12:40", "3:05:00"

}  // namespace fathom
