#include "cli/conversation.h"

#include <utility>

namespace fathom::cli {

Conversation::Conversation(Session& session, bool raw, std::string system)
    : session_(session), raw_(raw), system_(std::move(system)) {
  reset();
}

void Conversation::reset() {
  messages_.clear();
  text_.clear();
  last_line_.clear();
  if (!system_.empty()) messages_.push_back({"system", system_});
}

void Conversation::set_system(std::string system) {
  system_ = std::move(system);
  reset();
}

Result<Answer> Conversation::say(const std::string& line, const GenerateOptions& options,
                                 const OnPiece& on_piece) {
  last_line_ = line;
  messages_before_ = messages_.size();
  text_before_ = text_.size();
  return answer(options, on_piece);
}

Result<Answer> Conversation::regenerate(const GenerateOptions& options, const OnPiece& on_piece) {
  messages_.resize(messages_before_);
  text_.resize(text_before_);
  return answer(options, on_piece);
}

Result<Answer> Conversation::answer(const GenerateOptions& options, const OnPiece& on_piece) {
  messages_.push_back({"user", last_line_});
  if (!text_.empty() && !text_.ends_with('\n')) text_ += '\n';
  text_ += last_line_;
  auto answer = raw_ ? session_.complete(text_, options, on_piece)
                     : session_.chat(messages_, options, on_piece);
  if (!answer || (answer->finish == FinishReason::kCancelled && answer->text.empty())) {
    messages_.resize(messages_before_);
    text_.resize(text_before_);
    return answer;
  }
  messages_.push_back({"assistant", answer->text, answer->reasoning});
  text_ += answer->text;
  return answer;
}

}  // namespace fathom::cli
