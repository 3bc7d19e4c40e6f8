// Where fetched models live, and how a MODEL argument finds one:
//
//   $XDG_CACHE_HOME/fathom/models/     (~/.cache/fathom/models/ without XDG_CACHE_HOME)
//     default/FILE.gguf                the default model
//     OWNER/NAME/...                   a repository of a hub, its files as they are named there
//     OWNER/NAME@REVISION/...          the same at a revision that was asked for
//       .fathom/                       bookkeeping of unfinished and checked downloads (pull.h)
//   $XDG_CACHE_HOME/fathom/packed/     packed weights of large models (layers/packed_folder.h)
//
// Holds no state but a path; files may come and go meanwhile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fathom::hub {

inline constexpr std::string_view kDefaultModelName = "default";
inline constexpr std::string_view kBookkeeping = ".fathom";

struct CachedModel {
  std::string name;  // what resolve() takes: "default", "OWNER/NAME", "OWNER/NAME:FILE"
  std::filesystem::path path;
  int64_t bytes = 0;  // on disk, all shards together
};

class ModelCache {
 public:
  // The user's cache, as the environment says; the directory itself may be missing still.
  static Result<ModelCache> of_user();
  explicit ModelCache(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path models() const { return root_ / "models"; }
  std::filesystem::path packed() const { return root_ / "packed"; }
  std::filesystem::path default_model_directory() const;
  // revision "" or "main": the repository's own directory.
  std::filesystem::path repository_directory(std::string_view repository,
                                             std::string_view revision) const;

  // A GGUF file or a checkpoint directory for: "default"; a path that exists; "OWNER/NAME";
  // "OWNER/NAME:FILE", where FILE is a file's path in the repository or a part of its name that
  // only one has, such as Q4_K_M. "OWNER/NAME@REVISION" works wherever "OWNER/NAME" does.
  Result<std::filesystem::path> resolve(std::string_view model) const;

  // Everything resolve() finds by name, sorted by name.
  std::vector<CachedModel> list() const;

 private:
  Result<std::filesystem::path> resolve_in_repository(const std::filesystem::path& directory,
                                                      std::string_view name,
                                                      std::string_view file) const;
  std::string describe_contents() const;

  std::filesystem::path root_;
};

// The file's name without directory and ".gguf"; shards of a split file ("-00001-of-00003") give
// the same stem. False for what is not the first or only shard in `first_shard`.
struct GgufName {
  std::string stem;
  bool first_shard = true;
};
bool is_gguf_name(std::string_view file);
GgufName parse_gguf_name(std::string_view file);

// "OWNER/NAME" with characters a hub allows and no way out of the cache.
bool is_repository_name(std::string_view name);

}  // namespace fathom::hub
