// The process's own streams and signals. Standard output is written unbuffered, so that an answer
// streams; its errors are kept until main() asks. All functions belong to the main thread.
#pragma once

#include <csignal>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fathom::cli {

// Opens /dev/null for standard streams that are closed, so that no file of ours takes their place,
// and makes writes to a closed pipe fail instead of killing the process.
void prepare_streams();

// Writes to standard output. False once nobody reads it any more or it failed: then the rest of
// the work is in vain.
bool print(std::string_view text);
// What went wrong with standard output. A reader that has seen enough (`| head`) is no error.
Status output_status();

// Writes to standard error as it stands.
void note(std::string_view text);

enum class Stream { kInput = 0, kOutput = 1, kError = 2 };
bool is_terminal(Stream stream);
// A terminal that may be coloured: NO_COLOR and TERM=dumb are respected.
bool has_colour(Stream stream);

// All of standard input.
Result<std::string> read_input();

// While one lives, Ctrl-C (SIGINT) is noted instead of ending the process. If the work does not
// react, the third Ctrl-C ends the process after all. Not nested.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  bool requested() const;
  void clear();

 private:
  struct sigaction before_ = {};
};

inline constexpr int kInterruptedExitCode = 130;  // as shells have it: 128 + SIGINT

// Lines of standard input, as somebody types them.
class LineReader {
 public:
  enum class Event { kLine, kEnd, kInterrupt };
  // kInterrupt: Ctrl-C was pressed while waiting (inside an InterruptScope).
  Event next(std::string& line);
  // Why the input ended, if not because it was over.
  const Status& status() const { return status_; }

 private:
  std::string buffer_;
  bool end_ = false;
  Status status_;
};

}  // namespace fathom::cli
