// Pulls that are interrupted: by the server, by the disk, by a signal, by another pull.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "base/sanitizers.h"
#include "hub/digest.h"
#include "hub/partial_file.h"
#include "hub/pull_fixture.h"

namespace fathom::hub {
namespace {

constexpr size_t kSize = 2'000'000;

class ResumeTest : public PullTest {
 protected:
  ResumeTest() { hub_.put("model.gguf", {content_}); }

  void expect_whole() {
    const auto model = pull_model();
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_TRUE(read_file(model->path) == content_);
    EXPECT_EQ(parts(), std::vector<std::string>{});
  }

  // A pull that fails after about a third: the fourth piece breaks off, and no second try is made.
  void pull_a_part() {
    hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
      if (request.number == 4) response.drop_after = 1000;
    });
    const DownloadOptions usual = options_.download;
    options_.download.parallel = 1;
    options_.download.max_tries = 1;
    ASSERT_FALSE(pull_model());
    options_.download = usual;
    hub_.set_amend({});
  }

  const std::string content_ = test_content(kSize);
};

TEST_F(ResumeTest, GoesOnWhereADroppedConnectionStopped) {
  hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
    if (FakeHub::is_content(request)) {
      response.drop_after = static_cast<int64_t>(response.body.size() / 2);
      if (response.body.size() < 1000) response.drop_after = -1;
    }
  });
  expect_whole();
  EXPECT_EQ(hub_.content_bytes(), static_cast<int64_t>(kSize));
  EXPECT_GT(hub_.content_requests(), 8);
}

TEST_F(ResumeTest, AsksInASecondRunOnlyForWhatIsMissing) {
  pull_a_part();
  expect_no_model_files();
  const int64_t before = hub_.content_bytes();
  EXPECT_EQ(before, 3 * options_.download.piece_bytes + 1000);
  expect_whole();
  EXPECT_EQ(hub_.content_bytes(), static_cast<int64_t>(kSize));
}

TEST_F(ResumeTest, IsNotLoadedBeforeItIsWhole) {
  pull_a_part();
  EXPECT_FALSE(cache_.resolve("owner/name"));
  EXPECT_FALSE(cache_.resolve("owner/name:model.gguf"));
}

TEST_F(ResumeTest, FinishesACheckpointDirectoryBeforeItIsLoaded) {
  FakeHub hub;
  hub.put("config.json", {"{}", false});
  hub.put("model.safetensors", {content_});
  hub.set_amend([&](const HttpServer::Request& request, HttpServer::Response& response) {
    if (!request.path.ends_with("/model.safetensors")) return;
    for (int i = 0; i < 1000 && !fs::exists(repository() / "config.json"); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    response.drop_after = 1000;
  });
  options_.download.parallel = 1;
  options_.endpoint = hub.server.url();
  options_.download.max_tries = 1;
  ASSERT_FALSE(pull_model());
  EXPECT_TRUE(fs::exists(repository() / "config.json"));
  const auto unfinished = cache_.resolve("owner/name");
  ASSERT_FALSE(unfinished);
  EXPECT_NE(unfinished.error().message.find("fathom pull owner/name"), std::string::npos);
  hub.set_amend({});
  ASSERT_TRUE(pull_model());
  EXPECT_EQ(*cache_.resolve("owner/name"), repository());
}

TEST_F(ResumeTest, TriesAgainAfterServerErrorsAndWhenAskedToSlowDown) {
  hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
    if (request.number % 3 == 0) response = {.status = 503};
    if (request.number % 3 == 1) response = {.status = 429};
  });
  expect_whole();
}

TEST_F(ResumeTest, WaitsAsLongAsTheServerAsks) {
  DownloadOptions options;
  options.retry_delay = std::chrono::milliseconds(500);
  HttpResponse busy;
  busy.status = 429;
  EXPECT_EQ(retry_delay(options, 1, busy), std::chrono::milliseconds(500));
  EXPECT_EQ(retry_delay(options, 3, busy), std::chrono::seconds(2));
  EXPECT_EQ(retry_delay(options, 50, busy), std::chrono::seconds(30));
  busy.headers["retry-after"] = "7";
  EXPECT_EQ(retry_delay(options, 1, busy), std::chrono::seconds(7));
  busy.headers["retry-after"] = "99999999999";
  EXPECT_EQ(retry_delay(options, 1, busy), std::chrono::minutes(5));
  busy.headers["retry-after"] = "Wed, 21 Oct 2026 07:28:00 GMT";
  EXPECT_EQ(retry_delay(options, 1, busy), std::chrono::milliseconds(500));
}

TEST_F(ResumeTest, GivesUpAfterTriesThatBringNothing) {
  hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
    if (FakeHub::is_content(request)) response = {.status = 500};
  });
  options_.download.max_tries = 3;
  const std::string message = error();
  EXPECT_NE(message.find("gave up after 3 tries (the server answers with HTTP status 500)"),
            std::string::npos)
      << message;
  EXPECT_EQ(hub_.content_requests(), 3);
}

TEST_F(ResumeTest, GivesUpOnAConnectionThatStalls) {
  hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
    if (FakeHub::is_content(request)) {
      response.headers["Content-Length"] = std::to_string(response.body.size());
      response.body.clear();  // nothing comes, with the connection kept open
    }
  });
  options_.download.http.stall_timeout = std::chrono::seconds(1);
  options_.download.max_tries = 1;
  EXPECT_NE(error().find("gave up"), std::string::npos);
}

TEST_F(ResumeTest, BeginsAnewWhenTheContentChangesBetweenRuns) {
  pull_a_part();
  const std::string other = test_content(kSize, 7);
  hub_.put("model.gguf", {other});
  const int64_t before = hub_.content_bytes();
  const auto model = pull_model();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_TRUE(read_file(model->path) == other);
  EXPECT_EQ(hub_.content_bytes() - before, static_cast<int64_t>(kSize));
}

TEST_F(ResumeTest, NeverMixesOldAndNewContentOfAFileThatChangesMeanwhile) {
  // The first answers carry other bytes under another ETag than the later ones.
  const std::string old = test_content(kSize, 9);
  hub_.set_amend([&](const HttpServer::Request& request, HttpServer::Response& response) {
    if (!FakeHub::is_content(request) || request.number > 3) return;
    response = FakeHub::content({.content = old, .etag = "\"old\""}, request);
  });
  expect_whole();
}

TEST_F(ResumeTest, GivesUpOnAFileThatKeepsChanging) {
  hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
    response.headers["ETag"] = fmt::format("\"{}\"", request.number);
  });
  EXPECT_NE(error().find("keeps changing"), std::string::npos) << error();
  expect_no_model_files();
}

TEST_F(ResumeTest, FetchesInOnePieceFromAServerWithoutRanges) {
  hub_.set_amend([&](const HttpServer::Request& request, HttpServer::Response& response) {
    if (!FakeHub::is_content(request)) return;
    response = {.body = content_};
    if (request.number < 3) response.drop_after = 700'000;
  });
  expect_whole();
}

TEST_F(ResumeTest, BeginsAnewWhenTheServerNoLongerServesRanges) {
  pull_a_part();
  hub_.set_amend([&](const HttpServer::Request& request, HttpServer::Response& response) {
    if (FakeHub::is_content(request)) response = {.body = content_};
  });
  expect_whole();
}

TEST_F(ResumeTest, RefusesAnotherRangeThanAskedFor) {
  hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
    if (FakeHub::is_content(request)) {
      response.headers["Content-Range"] = fmt::format("bytes 1-2/{}", kSize);
    }
  });
  EXPECT_NE(error().find("another range"), std::string::npos) << error();
}

TEST_F(ResumeTest, RefusesMoreThanAskedFor) {
  hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
    if (FakeHub::is_content(request)) response.body += std::string(1000, 'x');
  });
  EXPECT_NE(error().find("more than was asked for"), std::string::npos) << error();
  expect_no_model_files();
}

TEST_F(ResumeTest, FetchesAnewWhatAnEarlierRunLeftDamaged) {
  pull_a_part();
  // What a power cut may leave: the state counts bytes that never reached the disk.
  for (const auto& part : parts()) {
    if (part.ends_with(".part")) write_file(repository() / part, std::string(kSize, '\0'));
  }
  expect_whole();
}

TEST_F(ResumeTest, DoesNotTrustADamagedState) {
  for (const char* state :
       {"", "{", "[]", "{\"size\": 2000000}", "{\"size\": 1e400}",
        "{\"size\": 2000000, \"digest\": \"DIGEST\", \"pieces\": [[0, 99999999999999999999, 5]]}",
        "{\"size\": 2000000, \"digest\": \"DIGEST\", \"pieces\": [[0, 2000000, -5]]}",
        "{\"size\": 2000000, \"digest\": \"DIGEST\", \"pieces\": [[0, 2000000, 2000001]]}",
        "{\"size\": 2000000, \"digest\": \"DIGEST\", \"pieces\": [[0, 1000, 10]]}",
        "{\"size\": 2000000, \"digest\": \"DIGEST\", \"pieces\": [[5, 2000000, 10]]}"}) {
    std::string text = state;
    if (const size_t at = text.find("DIGEST"); at != std::string::npos) {
      text.replace(at, 6, sha256_of(content_));
    }
    TemporaryDirectory directory;
    write_file(directory.path() / "x.part.json", text);
    write_file(directory.path() / "x.part", std::string(3'000'000, 'x'));
    const auto file =
        PartialFile::open(directory.path() / "x.part", kSize, sha256_of(content_), 1 << 18);
    ASSERT_TRUE(file) << text;
    EXPECT_EQ(file->done(), 0) << text;
    EXPECT_FALSE(file->resumed()) << text;
    EXPECT_EQ(file->pieces().back().end, static_cast<int64_t>(kSize)) << text;
    EXPECT_EQ(fs::file_size(file->path()), kSize) << text;
  }
}

TEST_F(ResumeTest, GoesOnAfterTheProcessWasKilled) {
  hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
    if (FakeHub::is_content(request)) response.bytes_per_second = 300'000;
  });
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    (void)pull_model();
    _exit(0);
  }
  // Four connections bring 1.2 MB each second; the state is written four times a second.
  while (hub_.content_bytes() < 1'000'000 && waitpid(child, nullptr, WNOHANG) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  expect_no_model_files();
  EXPECT_FALSE(cache_.resolve("owner/name"));
  hub_.set_amend({});
  expect_whole();
  // Some of what arrived after the last state was fetched again, but by no means all.
  EXPECT_LT(hub_.content_bytes(), static_cast<int64_t>(kSize) + 900'000);
}

TEST_F(ResumeTest, FetchesOnceWhenTwoProcessesPullAtOnce) {
  if (kThreadSanitizer) {
    GTEST_SKIP() << "ThreadSanitizer ends forked processes that start threads";
  }
  hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
    if (FakeHub::is_content(request)) response.bytes_per_second = 2'000'000;
  });
  pid_t children[2];
  for (pid_t& child : children) {
    child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto model = pull_model();
      _exit(model && read_file(model->path) == content_ ? 0 : 1);
    }
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(hub_.content_bytes(), static_cast<int64_t>(kSize));
}

TEST_F(ResumeTest, FailsClearlyWhenTheDiskTakesNoMoreAndGoesOnWhenItDoes) {
  // A limit on file sizes stands in for a full disk: writing fails half-way in the same place.
  const fs::path result = directory_.path() / "result";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1'000'000, 1'000'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    write_file(result, error());
    _exit(0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_NE(read_file(result).find("the file would be larger"), std::string::npos)
      << read_file(result);
  expect_no_model_files();
  expect_whole();
}

TEST_F(ResumeTest, SaysThatTheDiskIsFull) {
  constexpr int kNotAllowed = 77;
  const fs::path tiny = directory_.path() / "cache";
  const fs::path result = directory_.path() / "result";
  fs::create_directories(tiny);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // A disk of one megabyte, in a mount namespace that goes with this process.
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", tiny.c_str(), "tmpfs", 0, "size=1m") != 0) {
      _exit(kNotAllowed);
    }
    const auto partial = PartialFile::open(tiny / "x.part", kSize, "digest", 1 << 18);
    write_file(result, error() + "\n" + (partial ? "no error" : partial.error().message));
    _exit(fs::exists(tiny / "x.part") || !model_files().empty() ? 1 : 0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotAllowed) {
    GTEST_SKIP() << "this user may not mount a file system";
  }
  EXPECT_EQ(status, 0);
  const std::string messages = read_file(result);
  EXPECT_NE(messages.find("not enough space: 2.0 MB more are needed"), std::string::npos)
      << messages;
  EXPECT_NE(messages.find("the disk is full"), std::string::npos) << messages;
}

}  // namespace
}  // namespace fathom::hub
