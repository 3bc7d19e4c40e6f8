// fathom plan --document: the claims, predictions and verdicts as a table for people, or as JSON.
#pragma once

#include <string>

#include "plan/document.h"

namespace fathom::cli {

// By the document's tables, in lines of at most 100 columns.
std::string document_text(const plan::DocumentReport& report);
// {"claims": [{"table", "subject", "claimed", "predicted", "measured", "verdict", "why"}], "cost":
// {...}}
std::string document_json(const plan::DocumentReport& report);

}  // namespace fathom::cli
