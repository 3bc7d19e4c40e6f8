// The ways in which models call tools: what a call looks like in the text of an answer. Which one a
// model speaks is known from its chat template, which shows calls of earlier turns the same way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fathom {

class Tokenizer;

enum class ToolFormat : uint8_t {
  kHermes,       // <tool_call>{"name": ..., "arguments": {...}}</tool_call>: Hermes, Qwen 2.5 and 3
  kDeepSeek,     // DeepSeek-V3 and R1: name and a block of ```json between tokens of their own
  kDeepSeekV31,  // the same tokens, with the arguments alone between them
  kJson,         // the answer is {"name": ..., "parameters": {...}}: Llama 3
};
std::string_view name(ToolFormat format);  // "hermes", "deepseek", "deepseek-v3.1", "json"
// Fails naming the formats there are.
Result<ToolFormat> tool_format_named(std::string_view name);

// None: the template knows no tools, or calls them in another way.
std::optional<ToolFormat> tool_format_of(std::string_view chat_template);
// Whether a template wants the arguments of earlier calls as their JSON text. Others want the
// object.
bool wants_arguments_as_text(std::string_view chat_template);

// Whether a mark of the format is a special token, whose text answers usually leave out.
bool has_special_marks(ToolFormat format, const Tokenizer& tokenizer);

// Fails naming the first mark of the format that no tokens of this vocabulary spell, so that a
// model cannot be made to call.
Status can_call(ToolFormat format, const Tokenizer& tokenizer);

struct Tool {
  std::string name;
  std::string parameters = {};  // a JSON schema; empty: any object
  bool strict = false;          // also where the model is free to call or not
};

// What answers may say that do not call, or before and after their calls.
struct BesideCalls {
  enum class Kind : uint8_t {
    kNothing,
    kDocument,  // instead of calls: JSON that obeys `schema`
    kText,      // anything; then the arguments of tools that are not strict are any object
  };
  Kind kind = Kind::kNothing;
  std::string schema = {};
};

// A grammar (AnswerFormat::Kind::kGrammar) of answers that call the tools; several times only if
// `parallel`. kText is not for ToolFormat::kJson, whose calls are told from text by nothing.
std::string tool_grammar(ToolFormat format, const std::vector<Tool>& tools, bool parallel,
                         const Tokenizer& tokenizer, const BesideCalls& beside = {});

// Marks in the text of an answer.
inline constexpr std::string_view kHermesBegin = "<tool_call>";
inline constexpr std::string_view kHermesEnd = "</tool_call>";
inline constexpr std::string_view kDeepSeekCallsBegin = "<｜tool▁calls▁begin｜>";
inline constexpr std::string_view kDeepSeekCallsEnd = "<｜tool▁calls▁end｜>";
inline constexpr std::string_view kDeepSeekCallBegin = "<｜tool▁call▁begin｜>";
inline constexpr std::string_view kDeepSeekCallEnd = "<｜tool▁call▁end｜>";
inline constexpr std::string_view kDeepSeekSeparator = "<｜tool▁sep｜>";
inline constexpr std::string_view kPythonTag = "<|python_tag|>";

}  // namespace fathom
