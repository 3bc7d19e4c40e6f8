// One program run to its end beside us, its output kept in a file. No shell is involved, so
// arguments need no quoting. Used for pip; everything else is done in this process.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace fathom::hub {

class Subprocess {
 public:
  // arguments[0] is looked up in PATH. `environment` holds NAME=VALUE entries that are set on top
  // of ours. Standard input is empty; standard output and error go to the end of `log`.
  static Result<Subprocess> start(const std::vector<std::string>& arguments,
                                  const std::vector<std::string>& environment,
                                  const std::filesystem::path& log);

  Subprocess(Subprocess&& other) noexcept;
  Subprocess& operator=(Subprocess&&) = delete;
  // Ends the program if it still runs.
  ~Subprocess();

  // The exit status once it has ended (128 + signal if it was killed), nothing before.
  std::optional<int> poll();
  int wait();

 private:
  explicit Subprocess(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
  std::optional<int> status_;
};

}  // namespace fathom::hub
