// Shows one streamed answer. Reasoning is dimmed on a terminal; elsewhere it stands between <think>
// tags, as models write it, so that it is not taken for the answer.
#pragma once

#include "fathom/fathom.h"

namespace fathom::cli {

class AnswerPrinter {
 public:
  explicit AnswerPrinter(bool hide_thinking);

  // False once nobody reads the output.
  bool print_piece(const Piece& piece);
  // Ends the last line, and whatever else is open.
  void finish();

 private:
  void end_reasoning(bool answer_follows);

  bool hide_thinking_;
  bool colour_;
  bool in_reasoning_ = false;
  bool at_line_start_ = true;
};

}  // namespace fathom::cli
