// Errors as OpenAI's API shows them: {"error": {"message", "type", "param", "code"}} with a status.
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <string_view>

#include "serve/http_message.h"

namespace fathom::serve {

struct ApiError {
  int status = 400;
  std::string message;
  std::string param = {};  // the field of the request that is wrong; empty: none in particular
  std::string code = {};
  int retry_after = 0;  // seconds; 0: not said
};

template <typename T>
using ApiResult = std::expected<T, ApiError>;
using ApiStatus = ApiResult<void>;

// return bad_request("temperature", "temperature must be 0 to 2, not {}.", value);
template <typename... Args>
[[nodiscard]] std::unexpected<ApiError> bad_request(std::string_view param,
                                                    fmt::format_string<Args...> format,
                                                    Args&&... args) {
  return std::unexpected(ApiError{.status = 400,
                                  .message = fmt::format(format, std::forward<Args>(args)...),
                                  .param = std::string(param)});
}

std::string error_json(const ApiError& error);
HttpResponse error_response(const ApiError& error);

}  // namespace fathom::serve
