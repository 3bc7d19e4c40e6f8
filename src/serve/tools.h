// The tools that a request offers: read from its fields, put before the model, and turned into what
// an answer's text is searched for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "serve/fields.h"
#include "text/tool_format.h"

namespace fathom::serve {

inline constexpr size_t kMostTools = 128;

struct ToolRequest {
  enum class Choice : uint8_t { kNone, kAuto, kRequired };

  std::vector<Tool> tools;
  std::string json;  // the tools as the chat template takes them; empty: there are none
  Choice choice = Choice::kNone;
  std::optional<std::string> only;  // the one that must be called; choice is then kRequired
  bool parallel = true;             // several calls in one answer
  nlohmann::ordered_json asked_tools = nlohmann::ordered_json::array();  // as in the request
  nlohmann::ordered_json asked_choice = "none";

  // Whether the answer may call tools.
  bool active() const { return !tools.empty() && choice != Choice::kNone; }
  // Whether that takes a grammar, even where the answer has no format.
  bool binds() const;
  std::vector<std::string> names() const;
  // Those that may be called.
  std::vector<Tool> callable() const;
};

// tools, tool_choice, parallel_tool_calls. flat: a function's fields stand beside its type, as in
// the responses API.
ApiResult<ToolRequest> read_tools(Fields& fields, bool flat);

// How the text of an answer with tools is read.
struct ToolUse {
  ToolFormat format = ToolFormat::kHermes;
  std::vector<std::string> names;
  int64_t most_calls = kMostTools;
};

}  // namespace fathom::serve
