#include "cli/input_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/terminal.h"
#include "text/utf8.h"

namespace fathom::cli {

Result<std::string> read_input_file(const std::string& path) {
  std::string text;
  if (path == "-") {
    FATHOM_TRY(text, read_input());
  } else {
    if (std::filesystem::is_directory(path)) {
      return fail("{} is a directory, not a text file.", path);
    }
    std::ifstream file(path, std::ios::binary);
    if (!file.is_open()) return fail("Cannot read {}: {}.", path, std::strerror(errno));
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  if (replace_invalid_utf8(text) != text) {
    return fail("{} is not UTF-8 text. Convert it first, for example with iconv.",
                path == "-" ? "The standard input" : path);
  }
  return text;
}

}  // namespace fathom::cli
