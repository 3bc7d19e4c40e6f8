#include "compress/same_tokenizer.h"

#include <algorithm>

#include "compress/calibration.h"

namespace fathom {

Status check_same_tokenizer(const Tokenizer& original, const TextSource& written,
                            std::string_view what) {
  FATHOM_TRY(const auto tokenizer, Tokenizer::make(written));
  const std::string_view text = default_calibration_text();
  FATHOM_TRY(const auto before, original.encode(text, SpecialText::kPlain, true));
  FATHOM_TRY(const auto after, tokenizer->encode(text, SpecialText::kPlain, true));
  if (before == after) return {};
  const auto [was, is] = std::ranges::mismatch(before, after);
  return fail("The tokenizer cannot be written as {}: that would read {} as other tokens.", what,
              was == before.end() ? "a text's end" : original.piece(*was));
}

}  // namespace fathom
