// Expected digests: the examples of FIPS 180-4 for SHA-256, and what `git hash-object` prints.
#include "hub/digest.h"

#include <gtest/gtest.h>

#include "hub/test_files.h"

namespace fathom::hub {
namespace {

TEST(Digest, IsSha256OfTheContent) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "empty", "");
  write_file(directory.path() / "abc", "abc");
  write_file(directory.path() / "million", std::string(1'000'000, 'a'));
  const auto digest = [&](const char* name) {
    return *file_digest(directory.path() / name, DigestKind::kSha256);
  };
  EXPECT_EQ(digest("empty"), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest("million"), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Digest, IsTheGitBlobId) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "empty", "");
  write_file(directory.path() / "hello", "hello\n");
  const auto digest = [&](const char* name) {
    return *file_digest(directory.path() / name, DigestKind::kGitBlobSha1);
  };
  EXPECT_EQ(digest("empty"), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  EXPECT_EQ(digest("hello"), "ce013625030ba8dba906f756967f9e9ca394464a");
}

TEST(Digest, SaysWhichFileCannotBeRead) {
  const TemporaryDirectory directory;
  const auto missing = file_digest(directory.path() / "missing", DigestKind::kSha256);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("missing: cannot be read"), std::string::npos);
}

TEST(Digest, TellsDigestsFromOtherText) {
  EXPECT_TRUE(is_hex_digest(std::string(64, 'a'), DigestKind::kSha256));
  EXPECT_TRUE(is_hex_digest(std::string(40, '0'), DigestKind::kGitBlobSha1));
  EXPECT_FALSE(is_hex_digest(std::string(40, 'a'), DigestKind::kSha256));
  EXPECT_FALSE(is_hex_digest(std::string(64, 'g'), DigestKind::kSha256));
  EXPECT_FALSE(is_hex_digest("", DigestKind::kSha256));
}

}  // namespace
}  // namespace fathom::hub
