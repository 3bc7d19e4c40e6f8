// The text that a model reads while its matrices' inputs are observed, as windows of token ids.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace fathom {

// Ships with the product: prose, dialogue, code and notes in several languages, written for it.
std::string_view default_calibration_text();

// Plain text is one document; of JSON Lines ("{" begins the first line) each line is one: its
// "text", or the contents of its "messages". `source` names the text in errors.
Result<std::vector<std::string>> calibration_documents(std::string_view text,
                                                       std::string_view source);

// Documents one after the other, cut into windows of `window` tokens; what is left over at the end
// is dropped. Of a longer text, `most` tokens are taken, in windows spread evenly over it. Fails
// where there is not a single window.
Result<std::vector<std::vector<int32_t>>> calibration_windows(
    const Tokenizer& tokenizer, const std::vector<std::string>& documents, int64_t window,
    int64_t most, std::string_view source);

}  // namespace fathom
