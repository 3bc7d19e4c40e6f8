#include "text/chat_template.h"

#include "text/bridge_text.h"
#include "text/tokenizer.h"

namespace fathom {

struct ChatTemplate::State {
  FathomTemplate* handle;

  explicit State(FathomTemplate* made) : handle(made) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { fathom_template_free(handle); }
};

ChatTemplate::ChatTemplate(std::unique_ptr<State> state) : state_(std::move(state)) {}

ChatTemplate::~ChatTemplate() = default;

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::make(std::string_view source) {
  FathomText error{};
  FathomTemplate* handle = fathom_template_make(as_slice(source), &error);
  if (handle == nullptr) return fail("{}", take_text(error));
  return std::unique_ptr<ChatTemplate>(new ChatTemplate(std::make_unique<State>(handle)));
}

Result<std::string> ChatTemplate::render(const ChatTemplateInput& input) const {
  FathomText text{};
  FathomText error{};
  if (!fathom_template_render(
          state_->handle, as_slice(input.messages_json), as_slice(input.tools_json),
          input.add_generation_prompt, as_slice(input.bos_text), as_slice(input.eos_text),
          as_slice(input.extra_json),
          input.tokenizer == nullptr ? nullptr : input.tokenizer->bridge(), &text, &error)) {
    return fail("chat template: {}", take_text(error));
  }
  return take_text(text);
}

}  // namespace fathom
