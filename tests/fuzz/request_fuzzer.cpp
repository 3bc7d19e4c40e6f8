// Bodies of API requests: every parser on any bytes.
#include <cstdint>
#include <string_view>

#include "serve/api_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fathom::serve;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (const auto chat = parse_chat_request(body)) static_cast<void>(chat->generation.options({}));
  static_cast<void>(parse_completion_request(body));
  static_cast<void>(parse_responses_request(body));
  static_cast<void>(parse_embedding_request(body));
  static_cast<void>(parse_tokenize_request(body));
  static_cast<void>(parse_detokenize_request(body));
  return 0;
}
