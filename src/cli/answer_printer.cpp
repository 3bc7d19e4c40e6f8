#include "cli/answer_printer.h"

#include "cli/terminal.h"

namespace fathom::cli {
namespace {

constexpr std::string_view kDim = "\033[2m";
constexpr std::string_view kPlain = "\033[0m";

}  // namespace

AnswerPrinter::AnswerPrinter(bool hide_thinking)
    : hide_thinking_(hide_thinking), colour_(has_colour(Stream::kOutput)) {}

bool AnswerPrinter::print_piece(const Piece& piece) {
  if (piece.text.empty() || (piece.reasoning && hide_thinking_)) return print("");
  if (piece.reasoning && !in_reasoning_) {
    print(colour_ ? kDim : "<think>\n");
    in_reasoning_ = true;
  } else if (!piece.reasoning && in_reasoning_) {
    end_reasoning(true);
  }
  at_line_start_ = piece.text.ends_with('\n');
  return print(piece.text);
}

void AnswerPrinter::end_reasoning(bool answer_follows) {
  in_reasoning_ = false;
  print(colour_ ? kPlain : "\n</think>");
  if (answer_follows) print("\n\n");
  at_line_start_ = answer_follows;
}

void AnswerPrinter::finish() {
  if (in_reasoning_) end_reasoning(false);
  if (!at_line_start_) print("\n");
  at_line_start_ = true;
}

}  // namespace fathom::cli
