#include "compress/calibration.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json.h"

namespace fathom {

namespace {

constexpr std::string_view kBlank = " \t\r\n";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(kBlank) == std::string_view::npos;
}

Result<std::string> document_of(std::string_view line, const std::string& place) {
  FATHOM_TRY(const nlohmann::json json, parse_json(line, place));
  if (json.is_object()) {
    if (const auto text = json.find("text"); text != json.end() && text->is_string()) {
      return text->get<std::string>();
    }
    if (const auto messages = json.find("messages");
        messages != json.end() && messages->is_array()) {
      std::string joined;
      for (const auto& message : *messages) {
        const auto content = message.find("content");
        if (!message.is_object() || content == message.end() || !content->is_string()) continue;
        joined += content->get<std::string>() + "\n";
      }
      if (!joined.empty()) return joined;
    }
  }
  return fail("{}: expected an object with a \"text\", or with \"messages\" that have contents",
              place);
}

}  // namespace

Result<std::vector<std::string>> calibration_documents(std::string_view text,
                                                       std::string_view source) {
  if (is_blank(text)) return fail("{} is empty: there is nothing to calibrate with.", source);
  std::vector<std::string> documents;
  if (text.substr(text.find_first_not_of(kBlank), 1) != "{") {
    documents.emplace_back(text);
    return documents;
  }
  int64_t number = 1;
  for (size_t begin = 0; begin < text.size(); ++number) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (is_blank(line)) continue;
    FATHOM_TRY(std::string document, document_of(line, fmt::format("{}:{}", source, number)));
    documents.push_back(std::move(document));
  }
  return documents;
}

Result<std::vector<std::vector<int32_t>>> calibration_windows(
    const Tokenizer& tokenizer, const std::vector<std::string>& documents, int64_t window,
    int64_t most, std::string_view source) {
  std::vector<int32_t> tokens;
  for (const std::string& document : documents) {
    FATHOM_TRY(const auto ids, tokenizer.encode(document, SpecialText::kPlain, true));
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }
  const auto whole = static_cast<int64_t>(tokens.size()) / window;
  if (whole == 0) {
    return fail(
        "{} has {} tokens, fewer than one window of {}: give a longer text, or a smaller "
        "--calibration-window.",
        source, tokens.size(), window);
  }
  const int64_t wanted = std::clamp<int64_t>(most / window, 1, whole);
  std::vector<std::vector<int32_t>> windows;
  for (int64_t i = 0; i < wanted; ++i) {
    const auto begin = tokens.begin() + i * whole / wanted * window;
    windows.emplace_back(begin, begin + window);
  }
  return windows;
}

}  // namespace fathom
