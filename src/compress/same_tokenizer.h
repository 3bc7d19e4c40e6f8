// A tokenizer that was written in another form must read texts as before. Told by the ids of the
// calibration text that ships with the product: prose, code and notes in several languages.
#pragma once

#include <string_view>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "text/tokenizer.h"

namespace fathom {

// Fails where `written` gives other ids; `what` names it.
Status check_same_tokenizer(const Tokenizer& original, const TextSource& written,
                            std::string_view what);

}  // namespace fathom
