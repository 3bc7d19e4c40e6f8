// Which server is asked: an http or https URL taken apart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fathom::loadtest {

struct Target {
  bool tls = false;
  std::string host;  // without the brackets of an IPv6 address
  uint16_t port = 80;
  std::string base;  // the API's path without a slash at its end: "/v1"

  // As the Host header has it.
  std::string authority() const;

  // http://127.0.0.1:8080, https://example.org/v1. Without a path it is /v1, as OpenAI's clients
  // have it.
  static Result<Target> parse(std::string_view url);
};

}  // namespace fathom::loadtest
