// A key and a certificate that nobody has signed but itself, for servers of tests.
#pragma once

#include <filesystem>
#include <string>

namespace fathom::test {

struct PemFiles {
  std::string certificate;
  std::string key;
};

// Writes both into the directory, valid for an hour.
PemFiles make_certificate(const std::filesystem::path& directory, const std::string& name);

}  // namespace fathom::test
