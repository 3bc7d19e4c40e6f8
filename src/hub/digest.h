// The two fingerprints a model hub gives for a file: SHA-256 of the content (for large files kept
// as git LFS objects) and the git blob id, SHA-1 of "blob <size>\0" and the content (for the rest).
// Digests are lower-case hex.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"

namespace fathom::hub {

enum class DigestKind { kSha256, kGitBlobSha1 };

// Reads the file once. on_bytes, if given, is called with the size of each block read.
Result<std::string> file_digest(const std::filesystem::path& path, DigestKind kind,
                                const std::function<void(int64_t bytes)>& on_bytes = {});

bool is_hex_digest(std::string_view text, DigestKind kind);

}  // namespace fathom::hub
