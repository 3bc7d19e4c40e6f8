// A model's own chat template (Jinja), rendered as Hugging Face transformers' apply_chat_template
// renders it: the minijinja crate with its Python-compatibility methods, behind text/bridge.
// Immutable after make(): any thread may call render().
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fathom {

class Tokenizer;

struct ChatTemplateInput {
  // A JSON array of messages in OpenAI's shape: role, content, reasoning_content, tool_calls, ...
  std::string messages_json = {};
  std::string tools_json = {};  // a JSON array of tools, or empty
  bool add_generation_prompt = true;
  std::string bos_text = {};
  std::string eos_text = {};
  std::string extra_json = {};  // a JSON object of further variables ("enable_thinking"), or empty
  // Guards against forged turns: special tokens of this tokenizer that the JSON texts spell out
  // stay text when it encodes the rendered prompt with SpecialText::kParse. Without one, the text
  // is exactly what transformers renders; with one, such spellings hold an invisible mark (U+FDD0).
  const Tokenizer* tokenizer = nullptr;
};

class ChatTemplate {
 public:
  // Fails on a syntax error in the template.
  static Result<std::unique_ptr<ChatTemplate>> make(std::string_view source);
  ~ChatTemplate();

  // Fails with the template's own message where it calls raise_exception (wrong role order).
  Result<std::string> render(const ChatTemplateInput& input) const;

 private:
  struct State;
  explicit ChatTemplate(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace fathom
