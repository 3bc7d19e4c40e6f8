// Runs of the quantiser that end early, and those that go on after them.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <utility>

#include "compress/quantize.h"
#include "hub/test_files.h"
#include "tiny_runs.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

class Resuming : public testing::Test {
 protected:
  QuantizeOptions options(QuantizeMethod method) const {
    QuantizeOptions options{.method = method};
    if (method != QuantizeMethod::kRtn) options.calibration = random_windows(*checkpoint_, 4, 40);
    options.threads = 2;
    return options;
  }
  Result<QuantizeReport> run(QuantizeOptions options) {
    notes_.clear();
    options.on_note = [this](std::string_view text) { notes_ += std::string(text) + "\n"; };
    return quantize(*checkpoint_, output_, OutputFormat::kGguf, options);
  }
  // Stops once `share` of the weights are written.
  void interrupt(QuantizeOptions options, double share) {
    options.on_progress = [share](double done) { return done < share; };
    const auto report = run(std::move(options));
    ASSERT_FALSE(report);
    EXPECT_NE(report.error().message.find("Interrupted"), std::string::npos);
    EXPECT_FALSE(fs::exists(output_));
  }
  std::string whole(const QuantizeOptions& options) {
    const auto report = run(options);
    EXPECT_TRUE(report) << report.error().message;
    EXPECT_FALSE(fs::exists(partial_));
    std::string bytes = read_file(output_);
    fs::remove(output_);
    return bytes;
  }

  hub::TemporaryDirectory folder_;
  fs::path output_ = folder_.path() / "out.gguf";
  fs::path partial_ = folder_.path() / "out.gguf.partial";
  std::unique_ptr<Checkpoint> checkpoint_ =
      open_checkpoint(golden_model("deepseek_v3") / "mla_mtp.gguf");
  std::string notes_;
};

class QuantizeResumed : public Resuming, public testing::WithParamInterface<QuantizeMethod> {};

TEST_P(QuantizeResumed, MakesTheSameFileAfterItWasKilled) {
  const std::string expected = whole(options(GetParam()));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    QuantizeOptions killed = options(GetParam());
    killed.on_progress = [](double done) { return done < 0.7 || raise(SIGKILL) != 0; };
    (void)run(std::move(killed));
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_TRUE(fs::exists(partial_));
  EXPECT_FALSE(fs::exists(output_));

  double first = -1;
  QuantizeOptions again = options(GetParam());
  again.on_progress = [&first](double done) {
    if (first < 0) first = done;
    return true;
  };
  EXPECT_TRUE(whole(again) == expected);
  EXPECT_GT(first, 0.2);  // it did not begin at the beginning
  EXPECT_NE(notes_.find("going on after"), std::string::npos) << notes_;
}

TEST_P(QuantizeResumed, GoesOnAfterAnInterruptionAndSaysSo) {
  const std::string expected = whole(options(GetParam()));
  interrupt(options(GetParam()), 0.5);
  EXPECT_NE(notes_.find("the same command goes on"), std::string::npos) << notes_;
  interrupt(options(GetParam()), 0.8);
  EXPECT_NE(notes_.find("going on after"), std::string::npos) << notes_;
  EXPECT_TRUE(whole(options(GetParam())) == expected);
}

INSTANTIATE_TEST_SUITE_P(Methods, QuantizeResumed,
                         testing::Values(QuantizeMethod::kRtn, QuantizeMethod::kAwq,
                                         QuantizeMethod::kGptq),
                         [](const auto& method) {
                           return std::string(method.param == QuantizeMethod::kRtn   ? "Rtn"
                                              : method.param == QuantizeMethod::kAwq ? "Awq"
                                                                                     : "Gptq");
                         });

TEST_F(Resuming, KeepsTheTypesThatABudgetChose) {
  QuantizeOptions budget = options(QuantizeMethod::kAwq);
  budget.target_bits = 9;
  const std::string expected = whole(budget);
  interrupt(budget, 0.6);
  EXPECT_TRUE(whole(budget) == expected);
}

TEST_F(Resuming, DoesNotMixTwoCommands) {
  interrupt(options(QuantizeMethod::kAwq), 0.7);
  const auto other = run(options(QuantizeMethod::kGptq));
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("method is"), std::string::npos) << other.error().message;
  QuantizeOptions text = options(QuantizeMethod::kAwq);
  text.calibration = random_windows(*checkpoint_, 4, 40, 7);
  const auto otherwise = run(text);
  ASSERT_FALSE(otherwise);
  EXPECT_NE(otherwise.error().message.find("calibration is"), std::string::npos);
  EXPECT_TRUE(fs::exists(partial_));
  EXPECT_TRUE(run(options(QuantizeMethod::kAwq)));
}

TEST_F(Resuming, TakesAnotherCommandWhereNoLayerWasFinished) {
  fs::create_directory(partial_);
  write_file(partial_ / "journal", "");
  EXPECT_TRUE(run(options(QuantizeMethod::kRtn)));
}

TEST_F(Resuming, LeavesADirectoryAloneThatIsNotItsOwn) {
  fs::create_directory(partial_);
  write_file(partial_ / "thesis.txt", "mine");
  const auto report = run(options(QuantizeMethod::kRtn));
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("no remains"), std::string::npos);
  EXPECT_EQ(read_file(partial_ / "thesis.txt"), "mine");
}

// Whatever byte of the remains is damaged or missing: the result is the whole one.
TEST_F(Resuming, IsNotMisledByDamagedRemains) {
  const QuantizeOptions awq = options(QuantizeMethod::kAwq);
  const std::string expected = whole(awq);
  const auto damaged = [&](const std::string& what, auto damage) {
    interrupt(awq, 0.8);
    damage();
    EXPECT_TRUE(whole(awq) == expected) << what;
  };
  const fs::path journal = partial_ / "journal";
  damaged("torn journal", [&] {
    std::string text = read_file(journal);
    write_file(journal, text.substr(0, text.size() - 5));
  });
  damaged("flipped byte", [&] {
    std::string text = read_file(journal);
    text[text.size() / 2] ^= 1;
    write_file(journal, text);
  });
  damaged("first line", [&] {
    std::string text = read_file(journal);
    text[3] ^= 1;
    write_file(journal, text);
    EXPECT_EQ(notes_.find("begun anew"), std::string::npos);
  });
  damaged("stream", [&] {
    for (const auto& entry : fs::directory_iterator(partial_)) {
      if (!entry.path().filename().string().starts_with("stream.")) continue;
      std::string bytes = read_file(entry.path());
      bytes[bytes.size() / 2] ^= 1;
      write_file(entry.path(), bytes);
    }
  });
  damaged("output", [&] { fs::remove(partial_ / "model"); });
}

TEST_F(Resuming, RefusesToWriteBesideAnotherProcess) {
  QuantizeOptions slow = options(QuantizeMethod::kRtn);
  bool tried = false;
  slow.on_progress = [&](double) {
    if (!std::exchange(tried, true)) {
      const auto second =
          quantize(*checkpoint_, output_, OutputFormat::kGguf, options(QuantizeMethod::kRtn));
      EXPECT_FALSE(second);
      EXPECT_NE(second.error().message.find("another process"), std::string::npos);
    }
    return true;
  };
  EXPECT_TRUE(run(slow));
  EXPECT_TRUE(tried);
}

TEST_F(Resuming, GoesOnWithADirectoryToo) {
  const auto source = open_checkpoint(golden_model("llama_mha"));
  const fs::path first = folder_.path() / "first";
  const fs::path second = folder_.path() / "second";
  QuantizeOptions directory{.method = QuantizeMethod::kAwq, .group = 64, .keep = {"down_proj"}};
  directory.calibration = random_windows(*source, 4, 40);
  ASSERT_TRUE(quantize(*source, first, OutputFormat::kHuggingFace, directory));
  directory.on_progress = [](double done) { return done < 0.8; };
  ASSERT_FALSE(quantize(*source, second, OutputFormat::kHuggingFace, directory));
  ASSERT_TRUE(fs::exists(folder_.path() / "second.partial"));
  directory.on_progress = {};
  ASSERT_TRUE(quantize(*source, second, OutputFormat::kHuggingFace, directory));
  for (const char* name : {"model.safetensors", "config.json"}) {
    EXPECT_TRUE(read_file(first / name) == read_file(second / name)) << name;
  }
  EXPECT_FALSE(fs::exists(folder_.path() / "second.partial"));
}

}  // namespace
}  // namespace fathom
