// The state of a chat: what was said, and how to ask for the next answer. With a chat template that
// is a list of messages, with --raw a text that grows. One thread.
#pragma once

#include <string>
#include <vector>

#include "fathom/fathom.h"

namespace fathom::cli {

class Conversation {
 public:
  Conversation(Session& session, bool raw, std::string system);

  // Answers `line`. If that fails or is cancelled before any text, the line counts as unsaid.
  Result<Answer> say(const std::string& line, const GenerateOptions& options,
                     const OnPiece& on_piece);
  // Another answer to the last line, in place of the old one.
  Result<Answer> regenerate(const GenerateOptions& options, const OnPiece& on_piece);
  bool can_regenerate() const { return !last_line_.empty(); }

  // Forgets everything but the system message.
  void reset();
  void set_system(std::string system);  // and begins anew
  const std::string& system() const { return system_; }

 private:
  Result<Answer> answer(const GenerateOptions& options, const OnPiece& on_piece);

  Session& session_;
  bool raw_;
  std::string system_;
  std::vector<Message> messages_;
  std::string text_;  // with raw_
  std::string last_line_;
  // What there was before the last line.
  size_t messages_before_ = 0;
  size_t text_before_ = 0;
};

}  // namespace fathom::cli
