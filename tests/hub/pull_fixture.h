// A hub on loopback, an empty cache, and a pull between them that is quick to try again.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "hub/fake_hub.h"
#include "hub/pull.h"
#include "hub/test_files.h"

namespace fathom::hub {

namespace fs = std::filesystem;

class PullTest : public testing::Test {
 protected:
  PullTest() {
    options_.repository = "owner/name";
    options_.endpoint = hub_.server.url();
    options_.download.parallel = 4;
    options_.download.piece_bytes = 256 * 1024;
    options_.download.retry_delay = std::chrono::milliseconds(1);
  }

  Result<PulledModel> pull_model() { return pull(cache_, options_); }
  std::string error() {
    const auto result = pull_model();
    return result ? "no error" : result.error().message;
  }
  fs::path repository() const { return cache_.models() / "owner/name"; }
  // Files under their final names.
  std::vector<std::string> model_files() const { return names(false); }
  // What is left of unfinished downloads.
  std::vector<std::string> parts() const { return names(true); }
  void expect_no_model_files() const { EXPECT_EQ(model_files(), std::vector<std::string>{}); }

  FakeHub hub_;
  TemporaryDirectory directory_;
  ModelCache cache_{directory_.path() / "cache"};
  PullOptions options_;
  // A proxy of the environment has no business with loopback.
  ScopedVariable no_proxy_{"no_proxy", "127.0.0.1"};
  ScopedVariable no_token_{"HF_TOKEN", std::nullopt};

 private:
  std::vector<std::string> names(bool of_parts) const {
    std::vector<std::string> result;
    if (!fs::exists(repository())) return result;
    for (const auto& entry : fs::recursive_directory_iterator(repository())) {
      const auto relative = entry.path().lexically_relative(repository()).generic_string();
      const bool bookkeeping = relative.starts_with(kBookkeeping);
      const bool part = relative.find(".part") != std::string::npos;
      if (entry.is_regular_file() && (of_parts ? part : !bookkeeping)) result.push_back(relative);
    }
    return result;
  }
};

}  // namespace fathom::hub
