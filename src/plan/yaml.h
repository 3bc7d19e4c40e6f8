// Files that users write in YAML 1.2's core schema, read into JSON values: mappings with text keys,
// sequences, and scalars, which are null, true, false, numbers or text as JSON would have them (so
// that "no" is a text). Refused are aliases, tags and several documents, which such files do not
// need, keys that occur twice, nesting deeper than 64, and more text or values than JsonLimits
// allow. Uses libyaml. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace fathom::plan {

struct YamlDocument {
  nlohmann::json value;
  // Where each member and element begins: by path ("/hardware/0/name"), lines from 1 on.
  std::map<std::string, int64_t, std::less<>> lines;
};

// Errors (kUsage) name `file` and the line. JSON is YAML too, as far as it is not indented by tabs.
Result<YamlDocument> parse_yaml(std::string_view text, std::string_view file,
                                const JsonLimits& limits = {});

}  // namespace fathom::plan
