#include "kernels/packed_file.h"

#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/expect_error.h"

namespace fathom {
namespace {

using Bytes = std::vector<std::byte>;

const PackedFileOrigin kOrigin{0x1122334455667788, "avx2", 7};

// Three matrices of a byte value each.
Bytes small_file() {
  std::vector<PackedFileEntry> entries;
  int64_t end = kPackedFileAlignment;
  for (const uint64_t key : {30U, 10U, 20U}) {
    const int64_t offset = next_packed_offset(end);
    entries.push_back({.key = key, .out = 8, .in = 100, .offset = offset, .bytes = 5000});
    end = offset + 5000;
  }
  const int64_t index_offset = next_packed_offset(end);
  const auto frame = frame_packed_file(kOrigin, entries, index_offset);
  Bytes file(static_cast<size_t>(index_offset));
  std::memcpy(file.data(), frame.header.data(), frame.header.size());
  for (const PackedFileEntry& entry : entries) {
    std::memset(file.data() + entry.offset, static_cast<int>(entry.key), 5000);
  }
  file.insert(file.end(), frame.index.begin(), frame.index.end());
  return file;
}

size_t index_start(const Bytes& file) {
  return file.size() - 3 * sizeof(PackedFileEntry);
}

TEST(PackedFile, GivesBackWhatWasWritten) {
  const Bytes bytes = small_file();
  const auto file = parse_packed_file(bytes, "a.packed");
  expect_ok(file);
  EXPECT_EQ(file->origin, kOrigin);
  EXPECT_EQ(file->entries.size(), 3U);
  for (const uint64_t key : {10U, 20U, 30U}) {
    const PackedFileEntry* entry = file->find(key);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->bytes, 5000);
    EXPECT_EQ(std::to_integer<uint64_t>(bytes[static_cast<size_t>(entry->offset) + 4999]), key);
  }
  EXPECT_EQ(file->find(15), nullptr);
  EXPECT_EQ(file->find(40), nullptr);
}

TEST(PackedFile, MayHoldNothing) {
  const auto frame = frame_packed_file(kOrigin, {}, kPackedFileAlignment);
  const auto file = parse_packed_file(frame.header, "a.packed");
  expect_ok(file);
  EXPECT_EQ(file->find(0), nullptr);
}

TEST(PackedFile, IsRefusedWhereverItIsCutOff) {
  const Bytes bytes = small_file();
  for (size_t length = 0; length < bytes.size(); length += length < 200 ? 1 : 61) {
    EXPECT_FALSE(parse_packed_file(std::span(bytes).first(length), "a.packed")) << length;
  }
  EXPECT_FALSE(parse_packed_file(std::span(bytes).first(bytes.size() - 1), "a.packed"));
  expect_error(parse_packed_file(std::span(bytes).first(5000), "a.packed"),
               {"a.packed", "cut off", "5000"});
}

TEST(PackedFile, IsRefusedWithBytesAfterItsEnd) {
  Bytes bytes = small_file();
  bytes.resize(bytes.size() + sizeof(PackedFileEntry));
  EXPECT_FALSE(parse_packed_file(bytes, "a.packed"));
}

TEST(PackedFile, IsRefusedWithAnyBitOfItsHeaderOrIndexFlipped) {
  Bytes bytes = small_file();
  const auto flip_all = [&](size_t begin, size_t end) {
    for (size_t at = begin; at < end; ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        const auto mask = static_cast<std::byte>(1 << bit);
        bytes[at] ^= mask;
        EXPECT_FALSE(parse_packed_file(bytes, "a.packed")) << "bit " << bit << " of byte " << at;
        bytes[at] ^= mask;
      }
    }
  };
  flip_all(0, 96);
  flip_all(index_start(bytes), bytes.size());
  EXPECT_TRUE(parse_packed_file(bytes, "a.packed"));
}

TEST(PackedFile, OfSomethingElseIsRefused) {
  Bytes zeros(8192);
  expect_error(parse_packed_file(zeros, "a.packed"), {"a.packed", "does not hold packed weights"});
  expect_error(parse_packed_file({}, "a.packed"), {"a.packed", "cut off"});
}

// Fingerprints tell accidents; what follows would be somebody's intent, or a bug of the writer.
TEST(PackedFile, WithMatricesOutsideItIsRefusedEvenIfItsFingerprintsAreRight) {
  const PackedFileEntry good{.key = 1, .out = 8, .in = 100, .offset = 4096, .bytes = 5000};
  const int64_t index_offset = 4096 * 3;
  const auto parse = [&](std::vector<PackedFileEntry> entries) {
    const auto frame = frame_packed_file(kOrigin, std::move(entries), index_offset);
    Bytes file(static_cast<size_t>(index_offset));
    std::memcpy(file.data(), frame.header.data(), frame.header.size());
    file.insert(file.end(), frame.index.begin(), frame.index.end());
    return parse_packed_file(file, "a.packed");
  };
  expect_ok(parse({good}));
  const auto refused = [&](auto change) {
    PackedFileEntry entry = good;
    change(entry);
    expect_error(parse({entry}), {"a.packed", "damaged"});
  };
  refused([](PackedFileEntry& e) { e.offset = 0; });
  refused([](PackedFileEntry& e) { e.offset = 4097; });
  refused([](PackedFileEntry& e) { e.offset = -4096; });
  refused([](PackedFileEntry& e) { e.offset = 4096 * 3; });
  refused([](PackedFileEntry& e) { e.offset = INT64_MAX / 4096 * 4096; });
  refused([](PackedFileEntry& e) { e.bytes = 0; });
  refused([](PackedFileEntry& e) { e.bytes = -1; });
  refused([](PackedFileEntry& e) { e.bytes = 4096 * 2 + 1; });
  refused([](PackedFileEntry& e) { e.bytes = INT64_MAX; });
  refused([](PackedFileEntry& e) { e.out = 0; });
  refused([](PackedFileEntry& e) { e.in = -5; });
  refused([](PackedFileEntry& e) { e.out = e.in = INT64_MAX; });
  expect_error(parse({good, good}), {"a.packed", "not in order"});
}

}  // namespace
}  // namespace fathom
