# Writes a C++ file that holds the web page: cmake -D DIRECTORY=web/dist -D OUTPUT=FILE.cpp -P
# embed_files.cmake. Each DIRECTORY/NAME.gz becomes an entry of serve/web_files.h: its path, a hash of
# its packed bytes, and the bytes.
file(GLOB_RECURSE files RELATIVE "${DIRECTORY}" "${DIRECTORY}/*.gz")
list(SORT files)
if(NOT files)
  message(FATAL_ERROR "There is nothing to embed in ${DIRECTORY}.")
endif()

set(arrays "")
set(entries "")
set(number 0)
foreach(file IN LISTS files)
  file(READ "${DIRECTORY}/${file}" bytes HEX)
  file(SHA256 "${DIRECTORY}/${file}" hash)
  string(SUBSTRING "${hash}" 0 20 hash)
  string(REGEX REPLACE "\\.gz$" "" path "/${file}")
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "constexpr unsigned char kFile${number}[] = {${bytes}};\n")
  string(APPEND entries "    {\"${path}\", \"${hash}\", kFile${number}},\n")
  math(EXPR number "${number} + 1")
endforeach()

file(WRITE "${OUTPUT}" "// Made by cmake/embed_files.cmake.
#include \"serve/web_files.h\"

namespace fathom::serve {
namespace {

${arrays}
constexpr WebFile kFiles[] = {
${entries}};

}  // namespace

std::span<const WebFile> web_files() {
  return kFiles;
}

}  // namespace fathom::serve
")
