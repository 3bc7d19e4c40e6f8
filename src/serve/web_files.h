// The files of the web page, built into the program. The definition is made by
// cmake/embed_files.cmake of web/dist, which is committed, so that building needs no Node.
#pragma once

#include <span>
#include <string_view>

namespace fathom::serve {

struct WebFile {
  std::string_view path;  // "/index.html", "/assets/..."
  std::string_view hash;  // of the bytes; equal for equal files
  std::span<const unsigned char> gzip;
};

std::span<const WebFile> web_files();

}  // namespace fathom::serve
