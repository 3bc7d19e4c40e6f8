// JSON from files we do not trust: the one place where the engine parses it.
//
// Refused: text that is not JSON or not UTF-8, nesting deeper than 64, an object with the same key
// twice (parsers disagree on which one counts), and more text or values than the caller allows, so
// that neither time nor memory can be blown up by a small download.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace fathom {

struct JsonLimits {
  size_t bytes = 4U << 20;
  size_t values = 1'000'000;  // scalars, arrays and objects together
};

// `what` names the text in errors: "config.json", "the header of model.safetensors".
Result<nlohmann::json> parse_json(std::string_view text, std::string_view what,
                                  const JsonLimits& limits = {});
// The same, with the members of objects in the text's order. Finding one takes time in proportion
// to their number.
Result<nlohmann::ordered_json> parse_ordered_json(std::string_view text, std::string_view what,
                                                  const JsonLimits& limits = {});

}  // namespace fathom
