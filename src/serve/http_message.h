// What the HTTP layer hands up and takes back: requests and responses as plain values.
// Names of headers are compared without regard to case.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fathom::serve {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;
  std::string path;   // of the target, as it came: not decoded
  std::string query;  // after '?', without it
  Headers headers;
  std::string body;
  std::string peer;  // the client's address

  std::string_view header(std::string_view name) const;  // empty where there is none
  // The value of `name` in the query, decoded; empty where there is none.
  std::string parameter(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  Headers headers = {};  // beyond Content-Type, Content-Length and Connection
};

std::string_view reason_phrase(int status);

}  // namespace fathom::serve
