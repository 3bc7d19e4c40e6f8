// Splits a streamed answer of an R1-style model into its reasoning (<think> ... </think>) and the
// answer proper. A block counts only at the beginning: a later "<think>" is ordinary text. The tags
// and the white space around them belong to neither part.
//
// What push() returns is never taken back and does not depend on how the text was cut into
// pieces; adjoining text of one kind comes as one part. One thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fathom {

class ReasoningFilter {
 public:
  // starts_inside: the chat template already wrote the opening tag.
  explicit ReasoningFilter(bool starts_inside);

  struct Part {
    std::string text;
    bool reasoning;
    bool operator==(const Part&) const = default;
  };

  std::vector<Part> push(std::string_view piece);
  std::vector<Part> finish();  // the answer is over: what was still held back

 private:
  enum class State {
    kBeginning,       // nothing but white space and a part of an opening tag so far
    kReasoningBegin,  // between the opening tag and the first word of the reasoning
    kReasoning,
    kAnswerBegin,  // between the closing tag and the first word of the answer
    kAnswer,
  };

  // Consumes what is certain of held_ in the present state; false: more text is needed.
  bool step(std::vector<Part>& parts);

  State state_;
  std::string held_;
};

}  // namespace fathom
