// Streams a model's answer to the terminal: stream MODEL PROMPT...
//
// Each prompt is one turn of the same conversation. A model without a chat template, or without a
// tokenizer, is given the bare text, or token ids separated by commas.
#include <fathom/fathom.h>

#include <charconv>
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace {

int report(const fathom::Error& error) {
  std::cerr << "stream: " << error.message << '\n';
  return 1;
}

bool show(const fathom::Piece& piece) {
  if (!piece.reasoning) std::cout << piece.text << std::flush;
  return true;  // false would end the answer here
}

std::vector<int32_t> token_ids(std::string_view text) {
  std::vector<int32_t> ids;
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at < end; ++at) {
    int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc()) break;
    ids.push_back(id);
    at = next;
  }
  return ids;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: stream MODEL PROMPT...\n";
    return 2;
  }

  // A Model holds the weights; it may be shared by any number of sessions.
  auto model = fathom::Model::load(argv[1]);
  if (!model) return report(model.error());
  const fathom::ModelInfo& info = model->info();
  std::cerr << info.name << ": " << info.architecture << ", " << info.parameters << " parameters, "
            << info.kernels << " kernels\n";

  // A Session is one conversation; it keeps what it has computed of it.
  fathom::Session session(*model);
  fathom::GenerateOptions options;
  options.sampling.temperature = 0;
  options.max_tokens = 64;

  std::vector<fathom::Message> conversation;
  for (int i = 2; i < argc; ++i) {
    const std::string prompt = argv[i];
    fathom::Result<fathom::Answer> answer;
    if (info.has_chat_template) {
      conversation.push_back({"user", prompt});
      answer = session.chat(conversation, options, show);
    } else if (info.has_tokenizer) {
      answer = session.complete(prompt, options, show);
    } else {
      answer = session.continue_tokens(token_ids(prompt), options, show);
    }
    if (!answer) return report(answer.error());
    conversation.push_back({"assistant", answer->text, answer->reasoning});

    std::cout << '\n';
    std::cerr << answer->tokens.size() << " tokens, the first after " << answer->time_to_first_token
              << " s\n";
  }
  return 0;
}
