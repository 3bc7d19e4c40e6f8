// Tool calls in an answer: any text, cut anywhere, must give the same as the whole text.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "text/tool_parser.h"

namespace {

using fathom::ToolEvent;
using Events = std::vector<ToolEvent>;

void append(Events& all, const Events& more) {
  for (const ToolEvent& event : more) {
    const bool joins =
        !all.empty() && event.kind == all.back().kind && event.kind != ToolEvent::Kind::kCall;
    if (joins) {
      all.back().text += event.text;
    } else {
      all.push_back(event);
    }
  }
}

Events parse(fathom::ToolFormat format, std::string_view text, size_t cut) {
  fathom::ToolParser parser(format, {"f"});
  Events all;
  append(all, parser.push(text.substr(0, cut)));
  append(all, parser.push(text.substr(cut)));
  append(all, parser.finish());
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (const auto format :
       {fathom::ToolFormat::kHermes, fathom::ToolFormat::kDeepSeek, fathom::ToolFormat::kJson}) {
    if (parse(format, text, data[0] % size) != parse(format, text, text.size())) std::abort();
  }
  return 0;
}
