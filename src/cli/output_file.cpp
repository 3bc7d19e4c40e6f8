#include "cli/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "hub/disk.h"

namespace fathom::cli {

Status write_output_file(const std::filesystem::path& path, std::string_view text) {
  std::error_code error;
  const auto kind = std::filesystem::status(path, error).type();
  if (kind == std::filesystem::file_type::not_found ||
      kind == std::filesystem::file_type::regular) {
    return hub::write_file_atomically(path, text);
  }
  const auto failed = [&path] {
    return fail("Cannot write {}: {}.", path.string(), std::strerror(errno));
  };
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return failed();
  Status status;
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      status = failed();
      break;
    }
  }
  if (::close(file) != 0 && status) status = failed();
  return status;
}

}  // namespace fathom::cli
