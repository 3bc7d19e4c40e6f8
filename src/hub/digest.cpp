#include "hub/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "base/assert.h"

namespace fathom::hub {

Result<std::string> file_digest(const std::filesystem::path& path, DigestKind kind,
                                const std::function<void(int64_t bytes)>& on_bytes) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return fail("{}: cannot be read: {}", path.string(), std::strerror(errno));
  struct Closer {
    int descriptor;
    ~Closer() { close(descriptor); }
  } closer{file};

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free);
  const EVP_MD* algorithm = kind == DigestKind::kSha256 ? EVP_sha256() : EVP_sha1();
  FATHOM_ASSERT(context && EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1);
  if (kind == DigestKind::kGitBlobSha1) {
    struct stat info{};
    if (fstat(file, &info) != 0) {
      return fail("{}: cannot be read: {}", path.string(), std::strerror(errno));
    }
    const std::string header = fmt::format("blob {}", info.st_size);
    EVP_DigestUpdate(context.get(), header.c_str(), header.size() + 1);
  }

  std::vector<char> block(1 << 20);
  for (;;) {
    const ssize_t count = read(file, block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail("{}: cannot be read: {}", path.string(), std::strerror(errno));
    if (count == 0) break;
    EVP_DigestUpdate(context.get(), block.data(), static_cast<size_t>(count));
    if (on_bytes) on_bytes(count);
  }

  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  FATHOM_ASSERT(EVP_DigestFinal_ex(context.get(), digest, &size) == 1);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

bool is_hex_digest(std::string_view text, DigestKind kind) {
  return text.size() == (kind == DigestKind::kSha256 ? 64u : 40u) &&
         std::ranges::all_of(
             text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace fathom::hub
