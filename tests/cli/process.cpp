#include "cli/process.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <tuple>
#include <utility>

namespace fathom::test {
namespace {

std::pair<int, int> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
  return {ends[0], ends[1]};
}

void close_once(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const Options& options) {
  // A test that writes to a process that has ended must not end with it.
  ::signal(SIGPIPE, SIG_IGN);
  // The first of two with one name counts.
  std::vector<std::string> environment = options.environment;
  for (const char* entry : {"PATH=/usr/bin:/bin", "HOME=/nonexistent", "TERM=xterm",
                            "XDG_CACHE_HOME=/nonexistent", "XDG_DATA_HOME=/dev/null"}) {
    environment.emplace_back(entry);
  }

  int child_input = -1;
  int child_output = -1;
  int child_error = -1;
  if (options.terminal) {
    if (::openpty(&output_, &child_output, nullptr, nullptr, nullptr) != 0) std::abort();
    input_ = ::dup(output_);
    child_input = ::dup(child_output);
    child_error = ::dup(child_output);
    for (const int end : {input_, output_, child_input, child_output, child_error}) {
      ::fcntl(end, F_SETFD, FD_CLOEXEC);
    }
  } else {
    std::tie(child_input, input_) = make_pipe();
    std::tie(output_, child_output) = make_pipe();
    std::tie(error_, child_error) = make_pipe();
  }
  if (!options.output_file.empty()) {
    close_once(child_output);
    child_output = ::open(options.output_file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (child_output < 0) std::abort();
  }

  std::vector<char*> argv = {const_cast<char*>(FATHOM_BINARY)};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (const auto& entry : environment) envp.push_back(const_cast<char*>(entry.c_str()));
  envp.push_back(nullptr);

  pid_ = ::fork();
  if (pid_ < 0) std::abort();
  if (pid_ == 0) {
    if (options.terminal) ::setsid();
    ::dup2(child_input, STDIN_FILENO);
    ::dup2(child_output, STDOUT_FILENO);
    ::dup2(child_error, STDERR_FILENO);
    ::signal(SIGPIPE, SIG_DFL);
    ::execve(FATHOM_BINARY, argv.data(), envp.data());
    ::_exit(127);
  }
  close_once(child_input);
  close_once(child_output);
  close_once(child_error);
}

Process::~Process() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  close_once(input_);
  close_once(output_);
  close_once(error_);
}

void Process::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(input_, text.data(), text.size());
    if (written <= 0) return;  // it has ended: what it says will show
    text.remove_prefix(static_cast<size_t>(written));
  }
}

void Process::close_input() {
  close_once(input_);
}

void Process::close_output() {
  close_once(output_);
}

void Process::signal(int number) {
  ::kill(pid_, number);
}

bool Process::read_some() {
  std::array<pollfd, 2> streams = {{{output_, POLLIN, 0}, {error_, POLLIN, 0}}};
  if (output_ < 0 && error_ < 0) return false;
  ::poll(streams.data(), streams.size(), -1);
  const auto read_stream = [](const pollfd& stream, int& descriptor, std::string& text) {
    if (descriptor < 0 || stream.revents == 0) return;
    std::array<char, 65536> block{};
    const ssize_t got = ::read(descriptor, block.data(), block.size());
    if (got > 0) {
      text.append(block.data(), static_cast<size_t>(got));
    } else {
      close_once(descriptor);  // also a terminal's EIO, which is how it says "closed"
    }
  };
  read_stream(streams[0], output_, out_);
  read_stream(streams[1], error_, err_);
  return true;
}

bool Process::wait_for(std::string_view text) {
  while (out_.find(text) == std::string::npos) {
    if (!read_some()) return false;
  }
  return true;
}

Finished Process::finish() {
  close_input();
  while (read_some()) {
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  Finished result;
  if (WIFEXITED(status)) result.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  result.out = std::move(out_);
  result.err = std::move(err_);
  return result;
}

Finished run(const std::vector<std::string>& arguments, std::string_view input,
             const Process::Options& options) {
  Process process(arguments, options);
  process.write(input);
  return process.finish();
}

}  // namespace fathom::test
