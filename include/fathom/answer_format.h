// What an answer must look like. Tokens that would break the format are never drawn, so that every
// answer that ends by itself has it; one that is cut off (max_tokens) is its beginning.
#pragma once

#include <cstdint>
#include <string>

namespace fathom {

struct AnswerFormat {
  enum class Kind : uint8_t {
    kJsonObject,  // any JSON object; `text` is empty
    kJsonSchema,  // keys come in the order in which the schema lists them
    kRegex,       // of the whole answer, in the syntax of Rust's regex crate
    kGrammar,     // in llguidance's variant of Lark
  };
  Kind kind = Kind::kJsonObject;
  std::string text = {};
};

}  // namespace fathom
