// A file on its way: the bytes so far in NAME.part, already at their final offsets, and beside it
// NAME.part.json, which says which bytes those are and of what file. After an interruption of any
// kind the next run goes on from there; a state that does not fit is thrown away, never trusted:
// the finished file is checked against the hub's digest whatever the state said.
//
// Used from one thread. All offsets are bytes from the beginning of the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace fathom::hub {

class PartialFile {
 public:
  // A range that one request at a time fills from the front.
  struct Piece {
    int64_t begin = 0;
    int64_t end = 0;
    int64_t done = 0;  // bytes from begin that are there

    int64_t position() const { return begin + done; }
    bool complete() const { return begin + done == end; }
  };

  // Goes on with what is there if it belongs to the same content (size and digest), else begins
  // anew in pieces of piece_bytes. Takes the disk space for the whole file at once where the file
  // system can.
  static Result<PartialFile> open(std::filesystem::path path, int64_t size, std::string digest,
                                  int64_t piece_bytes);

  PartialFile(PartialFile&& other) noexcept;
  PartialFile& operator=(PartialFile&&) = delete;
  ~PartialFile();

  const std::filesystem::path& path() const { return path_; }
  const std::vector<Piece>& pieces() const { return pieces_; }
  int64_t done() const;
  bool complete() const { return done() == size_; }
  // Something was there from an earlier run.
  bool resumed() const { return resumed_; }

  // The validator (RFC 9110, 8.8.3) of the answer that the bytes came from; empty if none yet.
  const std::string& etag() const { return etag_; }
  void set_etag(std::string etag);

  // Appends to a piece; the bytes fit in it.
  Status write(size_t piece, std::span<const std::byte> bytes);
  // Forgets all bytes. piece_bytes 0: one piece.
  void restart(int64_t piece_bytes);
  // Writes the state file if there is news.
  Status record();
  // Removes both files.
  void remove();
  // Removes the state file: the content is whole and about to be renamed.
  void remove_state();

 private:
  PartialFile(std::filesystem::path path, int64_t size, std::string digest)
      : path_(std::move(path)), digest_(std::move(digest)), size_(size) {}

  std::filesystem::path state_path() const;
  bool load_state();
  void split(int64_t piece_bytes);

  std::filesystem::path path_;
  std::string digest_;
  std::string etag_;
  std::vector<Piece> pieces_;
  int64_t size_ = 0;
  int descriptor_ = -1;
  bool resumed_ = false;
  bool dirty_ = false;
};

}  // namespace fathom::hub
