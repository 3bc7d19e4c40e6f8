// Which requests the HTTP server refuses before anybody reads them, and with which status.
// Included by http_server.cpp alone: it brings Beast along.
#pragma once

#include <fmt/format.h>

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace fathom::serve {

struct RefusedRequest {
  int status;
  std::string message;
};

// None: the connection is broken or too slow; there is nobody to tell.
inline std::optional<RefusedRequest> refusal_for(const boost::system::error_code& failure,
                                                 size_t body_limit) {
  namespace http = boost::beast::http;
  using Kind = http::error;
  if (failure == Kind::end_of_stream || failure == Kind::partial_message) return std::nullopt;
  if (failure == Kind::body_limit) {
    return RefusedRequest{413,
                          fmt::format("The request body is larger than {} bytes.", body_limit)};
  }
  if (failure == Kind::header_limit || failure == Kind::buffer_overflow) {
    return RefusedRequest{431, "The request's head is too large."};
  }
  if (failure == Kind::bad_version) return RefusedRequest{505, "Only HTTP/1.0 and 1.1 are spoken."};
  if (failure.category() == http::make_error_code(Kind::bad_method).category()) {
    return RefusedRequest{400,
                          fmt::format("This is no valid HTTP request: {}.", failure.message())};
  }
  return std::nullopt;
}

// Heads that two servers could read in two ways.
inline std::optional<RefusedRequest> ambiguous_head(const boost::beast::http::fields& head,
                                                    bool is_http_1_1) {
  namespace http = boost::beast::http;
  using http::field;
  const auto refuse = [](const char* why) { return RefusedRequest{400, why}; };
  if (head.count(field::content_length) > 1 ||
      head[field::content_length].find(',') != std::string_view::npos) {
    return refuse("There are several Content-Lengths.");
  }
  if (head.count(field::transfer_encoding) != 0) {
    if (head.count(field::content_length) != 0) {
      return refuse("There are both a Content-Length and a Transfer-Encoding.");
    }
    if (!is_http_1_1) return refuse("HTTP/1.0 knows no Transfer-Encoding.");
    if (head.count(field::transfer_encoding) > 1 ||
        !boost::beast::iequals(head[field::transfer_encoding], "chunked")) {
      return RefusedRequest{501, "Only \"Transfer-Encoding: chunked\" is understood."};
    }
  }
  if (head.count(field::host) > 1) return refuse("There are several Hosts.");
  if (is_http_1_1 && head.count(field::host) == 0) return refuse("There is no Host.");
  if (head.count(field::expect) != 0 &&
      !boost::beast::iequals(head[field::expect], "100-continue")) {
    return RefusedRequest{417, "Only \"Expect: 100-continue\" is understood."};
  }
  return std::nullopt;
}

}  // namespace fathom::serve
