// Runs the real binary and talks to it as a shell or a terminal would. One test, one thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace fathom::test {

struct Finished {
  int code = -1;   // exit code; -1 if a signal ended it
  int signal = 0;  // the signal that ended it
  std::string out;
  std::string err;
};

class Process {
 public:
  struct Options {
    std::vector<std::string> environment = {};  // NAME=VALUE, on top of a plain one without a cache
    std::string output_file = {};               // standard output goes there instead of to us
    bool terminal = false;                      // all three streams are one pseudo-terminal
  };

  // `arguments` without the program's own name.
  Process(const std::vector<std::string>& arguments, const Options& options);
  explicit Process(const std::vector<std::string>& arguments) : Process(arguments, Options()) {}
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void write(std::string_view text);
  void close_input();
  void close_output();  // as `| head` does once it has enough
  void signal(int number);
  // Waits until its standard output contains `text`; false if it ends before.
  bool wait_for(std::string_view text);
  const std::string& out() const { return out_; }

  // Closes its input, reads the rest of its output and waits for its end.
  Finished finish();

 private:
  bool read_some();  // false: both streams are at their end

  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
  int error_ = -1;
  std::string out_;
  std::string err_;
};

// The whole life of a process that gets `input`.
Finished run(const std::vector<std::string>& arguments, std::string_view input = {},
             const Process::Options& options = {});

}  // namespace fathom::test
