// What a Hugging Face-style hub says a repository holds, and which of it a model needs.
//   GET {endpoint}/api/models/{owner}/{name}/revision/{revision}?blobs=true
// answers {"sha": commit, "siblings": [{"rfilename", "size", "blobId", "lfs": {"sha256"}}, ...]}.
// Everything in it comes from outside: names are checked before anything is done with them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "hub/digest.h"

namespace fathom::hub {

struct HubFile {
  std::string name;  // relative to the repository, with '/'
  int64_t size = 0;
  DigestKind digest_kind = DigestKind::kSha256;
  std::string digest;  // empty: the hub gives none
};

struct HubListing {
  std::string commit;  // empty: the hub gives none
  std::vector<HubFile> files;
};

// Sorted by name; leaves out what has no name or size. `source` is for messages.
Result<HubListing> parse_hub_listing(std::string_view json, std::string_view source);

// A relative path that stays inside its directory on every system, and out of our bookkeeping.
bool is_safe_file_name(std::string_view name);

struct Selection {
  std::vector<HubFile> files;
  bool checkpoint = false;  // a whole checkpoint directory, usable only once all files are there
};

// file "": all that is needed to run the repository's model, which must be the only one in it.
// Otherwise the file of that path, or the only GGUF file with that part in its name; all shards
// of it if it is split.
Result<Selection> select_files(const HubListing& listing, std::string_view repository,
                               std::string_view file);

}  // namespace fathom::hub
