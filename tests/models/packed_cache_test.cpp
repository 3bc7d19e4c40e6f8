// Packed weights on disk, seen from a model: that it computes the same with them, and that whatever
// happens to the file or its folder costs no more than packing again.
#include "layers/packed_cache.h"

#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <mutex>
#include <thread>

#include "hub/test_files.h"
#include "layers/packed_folder.h"
#include "models/model.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;
using hub::read_file;
using hub::TemporaryDirectory;

fs::path golden(const std::string& name) {
  return fs::path(FATHOM_TEST_DATA) / "golden/models" / name;
}

// What one start of a model sees.
struct Start {
  bool had_file = false;
  std::vector<float> logits;
  std::string notes;
};

class PackedCacheTest : public ::testing::Test {
 protected:
  Start start(const fs::path& model, KernelChoice choice = KernelChoice::kAuto,
              std::chrono::milliseconds worthwhile = std::chrono::milliseconds(-1)) {
    Start result;
    std::mutex mutex;
    const auto checkpoint = Checkpoint::open(model);
    EXPECT_TRUE(checkpoint) << checkpoint.error().message;
    const auto kernels = Kernels::make(choice, 2);
    PackedCacheOptions options;
    options.folder = folder_;
    options.limit_bytes = limit_;
    options.worthwhile = worthwhile;
    options.on_note = [&](std::string_view note) {
      const std::lock_guard lock(mutex);
      result.notes += note;
    };
    std::unique_ptr<LanguageModel> loaded;
    {
      PackedCache cache(options);
      ModelLoadOptions load;
      load.packed_cache = &cache;
      auto made = LanguageModel::load(**checkpoint, *kernels, load);
      EXPECT_TRUE(made) << made.error().message;
      loaded = *std::move(made);
      result.had_file = cache.has_file();
    }
    // The model outlives the cache.
    auto pool = CachePool::make(loaded->cache_layout(), 1);
    const std::vector<int32_t> tokens = {1, 2, 3, 5, 7};
    const std::vector<int32_t> pages = {0};
    Batch batch;
    batch.sequences.push_back({tokens, 0, pages, BatchSequence::Logits::kAll});
    const auto logits = loaded->forward(batch, *pool);
    result.logits.assign(logits.begin(), logits.end());
    return result;
  }

  std::vector<fs::path> files(const std::string& suffix = kPackedSuffix) const {
    std::vector<fs::path> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder_, error)) {
      if (entry.path().extension() == suffix) found.push_back(entry.path());
    }
    std::ranges::sort(found);
    return found;
  }
  fs::path only_file() const {
    const auto found = files();
    EXPECT_EQ(found.size(), 1U);
    return found.empty() ? fs::path() : found.front();
  }

  void SetUp() override {
    if (Kernels::make(KernelChoice::kAuto, 1)->layout_version() == 0) {
      GTEST_SKIP() << "this processor has reference kernels only, which pack nothing";
    }
  }

  TemporaryDirectory directory_;
  fs::path folder_ = directory_.path() / "packed";
  int64_t limit_ = int64_t{1} << 30;
};

TEST_F(PackedCacheTest, TheSecondStartUsesTheFileAndComputesTheSame) {
  for (const std::string name : {"llama_gqa_tied", "deepseek_v3/mla_whole.gguf",
                                 "deepseek_v3/mla_split.gguf", "deepseek_v3_fp8", "deepseek_moe"}) {
    const Start first = start(golden(name));
    EXPECT_FALSE(first.had_file) << name;
    const Start second = start(golden(name));
    EXPECT_TRUE(second.had_file) << name;
    EXPECT_EQ(first.logits, second.logits) << name;
    EXPECT_EQ(first.notes + second.notes, "") << name;
  }
  EXPECT_EQ(files().size(), 5U);
  EXPECT_TRUE(files(kPartSuffix).empty());
}

TEST_F(PackedCacheTest, AModelThatIsQuickToPackLeavesNothing) {
  start(golden("llama_mha"), KernelChoice::kAuto, std::chrono::hours(1));
  EXPECT_TRUE(files().empty());
  EXPECT_TRUE(files(kPartSuffix).empty());
}

TEST_F(PackedCacheTest, ReferenceKernelsPackNothingAndKeepNothing) {
  start(golden("llama_mha"), KernelChoice::kReference);
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(PackedCacheTest, AFileCutOffAnywhereIsMadeAgain) {
  const Start first = start(golden("llama_mha"));
  const fs::path file = only_file();
  const auto size = static_cast<int64_t>(fs::file_size(file));
  for (const int64_t length : {int64_t{0}, int64_t{50}, int64_t{4096}, size / 2, size - 1}) {
    fs::resize_file(file, static_cast<uintmax_t>(length));
    const Start after = start(golden("llama_mha"));
    EXPECT_FALSE(after.had_file) << length;
    EXPECT_EQ(after.logits, first.logits) << length;
    EXPECT_NE(after.notes.find("made again"), std::string::npos) << after.notes;
    EXPECT_EQ(static_cast<int64_t>(fs::file_size(file)), size) << length;
  }
  EXPECT_TRUE(start(golden("llama_mha")).had_file);
}

TEST_F(PackedCacheTest, AFileOfSomethingElseIsMadeAgain) {
  const Start first = start(golden("llama_mha"));
  std::ofstream(only_file(), std::ios::trunc) << std::string(100'000, 'x');
  EXPECT_EQ(start(golden("llama_mha")).logits, first.logits);
  EXPECT_TRUE(start(golden("llama_mha")).had_file);
}

TEST_F(PackedCacheTest, ACheckpointThatHasChangedIsPackedAnew) {
  const fs::path model = directory_.path() / "model.gguf";
  fs::copy_file(golden("deepseek_v3/mla_whole.gguf"), model);
  start(model);
  const auto written = fs::last_write_time(model);
  std::fstream(model, std::ios::in | std::ios::out | std::ios::binary).seekp(-1, std::ios::end)
      << '\x11';
  // The time alone does not hide it.
  fs::last_write_time(model, written);
  EXPECT_FALSE(start(model).had_file);
  EXPECT_TRUE(start(model).had_file);
  fs::last_write_time(model, written + std::chrono::seconds(1));
  EXPECT_FALSE(start(model).had_file);
  EXPECT_EQ(files().size(), 1U) << "the new file takes the old one's place";
}

// Rewrites the origin in the file's header as another version would have written it.
void change_origin(const fs::path& path, auto change) {
  std::string text = read_file(path);
  const auto bytes = std::as_bytes(std::span(text));
  auto file = parse_packed_file(bytes, path.string());
  ASSERT_TRUE(file) << file.error().message;
  change(file->origin);
  const auto index_bytes = file->entries.size() * sizeof(PackedFileEntry);
  const auto frame = frame_packed_file(file->origin, file->entries,
                                       static_cast<int64_t>(text.size() - index_bytes));
  std::memcpy(text.data(), frame.header.data(), frame.header.size());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

TEST_F(PackedCacheTest, AFileForOtherKernelsOrOfAnotherLayoutIsMadeAgainWithoutAWord) {
  const Start first = start(golden("llama_mha"));
  const auto refuses = [&](auto change) {
    change_origin(only_file(), change);
    const Start after = start(golden("llama_mha"));
    EXPECT_FALSE(after.had_file);
    EXPECT_EQ(after.logits, first.logits);
    EXPECT_EQ(after.notes, "");
    EXPECT_TRUE(start(golden("llama_mha")).had_file);
  };
  refuses([](PackedFileOrigin& origin) { origin.kernels = "avx9000"; });
  refuses([](PackedFileOrigin& origin) { ++origin.layout_version; });
  refuses([](PackedFileOrigin& origin) { ++origin.checkpoint; });
}

TEST_F(PackedCacheTest, AFileThatLacksAMatrixIsUsedForTheOthersAndRemoved) {
  const Start first = start(golden("llama_mha"));
  const fs::path path = only_file();
  std::string text = read_file(path);
  auto file = parse_packed_file(std::as_bytes(std::span(text)), path.string());
  ASSERT_TRUE(file);
  const size_t index_offset = text.size() - file->entries.size() * sizeof(PackedFileEntry);
  file->entries.erase(file->entries.begin());
  ++file->entries.front().out;  // and one has another shape
  const auto frame =
      frame_packed_file(file->origin, file->entries, static_cast<int64_t>(index_offset));
  std::memcpy(text.data(), frame.header.data(), frame.header.size());
  text.resize(index_offset);
  text.append(reinterpret_cast<const char*>(frame.index.data()), frame.index.size());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;

  const Start second = start(golden("llama_mha"));
  EXPECT_TRUE(second.had_file);
  EXPECT_EQ(second.logits, first.logits);
  EXPECT_TRUE(files().empty());
}

TEST_F(PackedCacheTest, AFolderThatCannotBeMadeIsANote) {
  std::ofstream(directory_.path() / "packed") << "a file where the folder should be";
  const Start first = start(golden("llama_mha"));
  EXPECT_FALSE(first.had_file);
  EXPECT_FALSE(first.logits.empty());
  EXPECT_NE(first.notes.find("not kept"), std::string::npos) << first.notes;
}

TEST_F(PackedCacheTest, AFolderThatMayNotBeWrittenToIsANote) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  fs::create_directories(folder_);
  fs::permissions(folder_, fs::perms::owner_read | fs::perms::owner_exec);
  const Start first = start(golden("llama_mha"));
  fs::permissions(folder_, fs::perms::owner_all);
  EXPECT_NE(first.notes.find("not kept"), std::string::npos) << first.notes;
  EXPECT_TRUE(files().empty());
}

TEST_F(PackedCacheTest, AModelLargerThanTheLimitIsANoteAndIsNotKept) {
  limit_ = 1000;
  const Start first = start(golden("llama_mha"));
  EXPECT_NE(first.notes.find("limit"), std::string::npos) << first.notes;
  EXPECT_TRUE(files().empty());
}

TEST_F(PackedCacheTest, TheFileUsedLongestAgoGoesWhenTheFolderIsFull) {
  start(golden("llama_mha"));
  const fs::path oldest = only_file();
  start(golden("qwen3"));
  start(golden("llama_gqa_tied"));
  ASSERT_EQ(files().size(), 3U);
  int64_t held = 0;
  const auto now = fs::file_time_type::clock::now();
  int age = 3;
  for (const std::string name : {"llama_mha", "qwen3", "llama_gqa_tied"}) {
    for (const fs::path& file : files()) {
      if (!file.filename().string().starts_with(name)) continue;
      held += static_cast<int64_t>(fs::file_size(file));
      fs::last_write_time(file, now - std::chrono::hours(age));
    }
    --age;
  }
  EXPECT_TRUE(start(golden("llama_mha")).had_file);  // used again, so it is no longer the oldest
  limit_ = held + 1;
  start(golden("llama_head_dim_sharded"));
  EXPECT_TRUE(fs::exists(oldest));
  for (const fs::path& file : files()) {
    EXPECT_FALSE(file.filename().string().starts_with("qwen3"));
  }
}

TEST_F(PackedCacheTest, RemainsOfAWriterThatEndedEarlyAreRemoved) {
  fs::create_directories(folder_);
  const fs::path remains = folder_ / "other-0-avx2.packed.part";
  std::ofstream(remains) << "half a file";
  start(golden("llama_mha"));
  EXPECT_FALSE(fs::exists(remains));
}

TEST_F(PackedCacheTest, WhatAnotherProcessIsWritingIsLeftToIt) {
  start(golden("llama_mha"));
  const fs::path file = only_file();
  fs::remove(file);
  fs::path part = file;
  part += kPartSuffix;
  const int writer = ::open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_EQ(::flock(writer, LOCK_EX), 0);
  ASSERT_EQ(::write(writer, "abc", 3), 3);
  const Start second = start(golden("llama_mha"));
  EXPECT_FALSE(second.logits.empty());
  EXPECT_EQ(read_file(part), "abc");
  EXPECT_TRUE(files().empty());
  ::close(writer);
  start(golden("llama_mha"));
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(PackedCacheTest, StartsAtTheSameTimeDoNotDisturbEachOther) {
  const Start alone = start(golden("deepseek_moe"));
  fs::remove_all(folder_);
  for (int round = 0; round < 4; ++round) {
    std::array<Start, 3> starts;
    {
      std::vector<std::jthread> threads;
      for (Start& one : starts) {
        threads.emplace_back([&] { one = start(golden("deepseek_moe")); });
      }
    }
    for (const Start& one : starts) EXPECT_EQ(one.logits, alone.logits);
    if (round == 1) fs::remove_all(folder_);
  }
  EXPECT_TRUE(start(golden("deepseek_moe")).had_file);
  EXPECT_TRUE(files(kPartSuffix).empty());
}

}  // namespace
}  // namespace fathom
