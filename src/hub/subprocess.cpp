#include "hub/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace fathom::hub {
namespace {

int exit_status(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

std::string_view variable_name(std::string_view entry) {
  return entry.substr(0, entry.find('='));
}

}  // namespace

Result<Subprocess> Subprocess::start(const std::vector<std::string>& arguments,
                                     const std::vector<std::string>& environment,
                                     const std::filesystem::path& log) {
  std::vector<char*> argument_pointers;
  argument_pointers.reserve(arguments.size() + 1);
  for (const auto& argument : arguments) {
    argument_pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  argument_pointers.push_back(nullptr);
  std::vector<char*> environment_pointers;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    bool replaced = false;
    for (const auto& ours : environment) {
      replaced = replaced || variable_name(ours) == variable_name(*entry);
    }
    if (!replaced) environment_pointers.push_back(*entry);
  }
  for (const auto& entry : environment) {
    environment_pointers.push_back(const_cast<char*>(entry.c_str()));
  }
  environment_pointers.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0666);
  posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
  // Whatever we do about signals, the program gets their ordinary meaning: Ctrl-C ends it too.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t ordinary;
  sigemptyset(&ordinary);
  posix_spawnattr_setsigmask(&attributes, &ordinary);
  sigaddset(&ordinary, SIGINT);
  sigaddset(&ordinary, SIGPIPE);
  sigaddset(&ordinary, SIGTERM);
  posix_spawnattr_setsigdefault(&attributes, &ordinary);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

  pid_t pid = -1;
  const int error = posix_spawnp(&pid, arguments[0].c_str(), &files, &attributes,
                                 argument_pointers.data(), environment_pointers.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) return fail("{}: cannot be started: {}", arguments[0], std::strerror(error));
  return Subprocess(pid);
}

Subprocess::Subprocess(Subprocess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}

Subprocess::~Subprocess() {
  if (pid_ < 0 || status_) return;
  kill(pid_, SIGTERM);
  wait();
}

std::optional<int> Subprocess::poll() {
  if (status_) return status_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) status_ = exit_status(status);
  return status_;
}

int Subprocess::wait() {
  int status = 0;
  while (!status_) {
    if (waitpid(pid_, &status, 0) == pid_) {
      status_ = exit_status(status);
    } else {
      FATHOM_ASSERT(errno == EINTR);
    }
  }
  return *status_;
}

}  // namespace fathom::hub
