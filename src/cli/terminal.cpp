#include "cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace fathom::cli {
namespace {

int output_error = 0;  // errno of the first failed write
volatile std::sig_atomic_t interrupts = 0;
// Holds a byte for each interrupt: waiting for a line watches it too, so that a Ctrl-C just before
// the wait, or one that another thread receives, still ends it.
int interrupt_pipe[2] = {-1, -1};

void on_interrupt(int) {
  const int saved_errno = errno;
  interrupts = interrupts + 1;
  if (interrupts >= 3) _exit(kInterruptedExitCode);
  // A full pipe has bytes enough.
  [[maybe_unused]] const ssize_t written = ::write(interrupt_pipe[1], "!", 1);
  errno = saved_errno;
}

// 0, or errno.
int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

void prepare_streams() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (::fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free descriptor is this one: those below are open by now.
    if (::open("/dev/null", O_RDWR) < 0) std::abort();
  }
  std::signal(SIGPIPE, SIG_IGN);
}

bool print(std::string_view text) {
  if (output_error == 0) output_error = write_all(STDOUT_FILENO, text);
  return output_error == 0;
}

Status output_status() {
  if (output_error == 0 || output_error == EPIPE) return {};
  return fail("Cannot write to the standard output: {}.", std::strerror(output_error));
}

void note(std::string_view text) {
  // There is nowhere left to report that standard error cannot be written.
  static_cast<void>(write_all(STDERR_FILENO, text));
}

bool is_terminal(Stream stream) {
  return ::isatty(static_cast<int>(stream)) == 1;
}

bool has_colour(Stream stream) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return is_terminal(stream) && (no_colour == nullptr || *no_colour == '\0') &&
         terminal != nullptr && std::string_view(terminal) != "dumb";
}

Result<std::string> read_input() {
  std::string text;
  char block[1 << 16];
  while (true) {
    const ssize_t got = ::read(STDIN_FILENO, block, sizeof block);
    if (got == 0) return text;
    if (got > 0) {
      text.append(block, static_cast<size_t>(got));
    } else if (errno != EINTR) {
      return fail("Cannot read the standard input: {}.", std::strerror(errno));
    }
  }
}

InterruptScope::InterruptScope() {
  if (interrupt_pipe[0] < 0 && ::pipe2(interrupt_pipe, O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
  clear();
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, &before_);
}

InterruptScope::~InterruptScope() {
  ::sigaction(SIGINT, &before_, nullptr);
}

bool InterruptScope::requested() const {
  return interrupts > 0;
}

void InterruptScope::clear() {
  interrupts = 0;
  char block[16];
  while (::read(interrupt_pipe[0], block, sizeof block) > 0) {
  }
}

LineReader::Event LineReader::next(std::string& line) {
  while (true) {
    const size_t newline = buffer_.find('\n');
    if (newline != std::string::npos) {
      line.assign(buffer_, 0, newline);
      buffer_.erase(0, newline + 1);
      if (line.ends_with('\r')) line.pop_back();
      return Event::kLine;
    }
    if (end_) {
      if (buffer_.empty()) return Event::kEnd;
      line = std::exchange(buffer_, {});
      return Event::kLine;
    }
    pollfd sources[] = {{STDIN_FILENO, POLLIN, 0}, {interrupt_pipe[0], POLLIN, 0}};
    if (::poll(sources, 2, -1) < 0 && errno != EINTR) std::abort();
    if (interrupts > 0) {
      buffer_.clear();
      return Event::kInterrupt;
    }
    if (sources[0].revents == 0) continue;
    char block[4096];
    const ssize_t got = ::read(STDIN_FILENO, block, sizeof block);
    if (got > 0) {
      buffer_.append(block, static_cast<size_t>(got));
    } else if (got == 0) {
      end_ = true;
    } else if (errno != EINTR) {
      status_ = fail("Cannot read the standard input: {}.", std::strerror(errno));
      end_ = true;
    }
  }
}

}  // namespace fathom::cli
