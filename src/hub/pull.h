// `fathom pull OWNER/NAME`: a repository of a Hugging Face-style hub, or one file of it, into the
// model cache. In the repository's directory, .fathom/ holds a lock, unfinished downloads,
// files.json (what was checked already, so that a second pull need not read it all again) and,
// while a checkpoint directory lacks files, a mark that keeps it from being loaded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "hub/download.h"
#include "hub/model_cache.h"

namespace fathom::hub {

// Where `pull` goes when neither --endpoint nor HF_ENDPOINT says otherwise.
inline constexpr std::string_view kDefaultEndpoint = "https://huggingface.co";

struct PullOptions {
  std::string repository;         // "OWNER/NAME", or "default" for the default model
  std::string file;               // a path in the repository or a telling part of it; "": see above
  std::string revision = "main";  // branch, tag or commit
  std::string endpoint;           // "": HF_ENDPOINT, or kDefaultEndpoint
  std::string token;              // "": HF_TOKEN, if set
  DownloadOptions download;
};

struct PulledModel {
  std::filesystem::path path;  // what the engine loads (the first shard of a split GGUF file)
  std::string name;            // what ModelCache::resolve() takes
  int64_t files = 0;
  int64_t bytes = 0;
  bool already_there = false;  // nothing had to be fetched
};

// Safe to call from several processes at once: the later one waits and finds the work done.
Result<PulledModel> pull(const ModelCache& cache, const PullOptions& options);

}  // namespace fathom::hub
