// Any text as config.json, generation_config.json and tokenizer_config.json: a sound configuration
// or an error.
#include <cstdint>
#include <string_view>

#include "checkpoint/describe.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_text.h"
#include "checkpoint/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(fathom::parse_hf_generation(text, text, 1000));
  static_cast<void>(fathom::find_chat_template(text, "tokenizer_config.json"));
  const auto config = fathom::parse_hf_config(text, "config.json");
  if (!config || !fathom::validate_config(*config, "config.json")) return 0;
  static_cast<void>(fathom::validate_tensors(*config, {}, "fuzz"));
  static_cast<void>(fathom::cache_bytes_per_token(*config));
  return 0;
}
