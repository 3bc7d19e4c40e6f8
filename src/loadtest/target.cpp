#include "loadtest/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/quote.h"

namespace fathom::loadtest {

std::string Target::authority() const {
  const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
  return port == (tls ? 443 : 80) ? name : fmt::format("{}:{}", name, port);
}

Result<Target> Target::parse(std::string_view url) {
  const auto wrong = [&](std::string_view why) {
    return usage_error("The URL {} {}. It must be like http://127.0.0.1:8080 or https://host/v1.",
                       in_quotes(url), why);
  };
  Target target;
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    target.tls = true;
    target.port = 443;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return wrong("does not begin with http:// or https://");
  }
  const auto is_plain = [](char c) { return c > ' ' && c < 0x7f; };
  if (!std::ranges::all_of(rest, is_plain)) return wrong("holds characters that no URL may hold");
  if (rest.find_first_of("?#@") != std::string_view::npos) {
    return wrong("has a query, a fragment or a user name, which are not supported");
  }
  const size_t slash = std::min(rest.find('/'), rest.size());
  target.base = rest.substr(slash);
  while (target.base.ends_with('/')) target.base.pop_back();
  if (target.base.empty()) target.base = "/v1";

  std::string_view place = rest.substr(0, slash);
  std::string_view port;
  bool has_port = false;
  if (place.starts_with('[')) {
    const size_t end = place.find(']');
    if (end == std::string_view::npos) return wrong("has no ] after its address");
    target.host = place.substr(1, end - 1);
    const std::string_view after = place.substr(end + 1);
    if (!after.empty() && after.front() != ':') return wrong("has no : before its port");
    has_port = !after.empty();
    if (has_port) port = after.substr(1);
  } else {
    const size_t colon = place.find(':');
    target.host = place.substr(0, colon);
    has_port = colon != std::string_view::npos;
    if (has_port) port = place.substr(colon + 1);
  }
  if (target.host.empty()) return wrong("names no host");
  if (has_port) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), target.port);
    if (error != std::errc() || end != port.data() + port.size() || target.port == 0) {
      return wrong("has no port number from 1 to 65535 after its :");
    }
  }
  return target;
}

}  // namespace fathom::loadtest
