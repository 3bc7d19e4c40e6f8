// A model loaded with everything it needs to answer: the checkpoint it came from, kernels, weights,
// and, where the checkpoint has them, a tokenizer and a chat template. Behind fathom::Model.
//
// All members are immutable after load() but the computation itself (and what compile() keeps):
// hold `compute` around LanguageModel::forward(), which belongs to one thread at a time.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "fathom/fathom.h"
#include "kernels/kernels.h"
#include "layers/packed_cache.h"
#include "models/model.h"
#include "text/chat_template.h"
#include "text/constraint.h"
#include "text/tokenizer.h"
#include "text/tool_format.h"

namespace fathom {

struct Engine {
  static Result<std::shared_ptr<Engine>> load(const std::filesystem::path& path,
                                              const LoadOptions& options);

  Result<const Tokenizer*> need_tokenizer() const;
  // guard: the text is for this tokenizer's encode(), not for eyes; special tokens that messages
  // spell out then stay text, so that nobody can forge a turn. tools: a JSON array in the shape of
  // OpenAI's API, or empty.
  Result<std::string> render(const std::vector<Message>& messages, bool add_generation_prompt,
                             const Tokenizer* guard = nullptr, const std::string& tools = {}) const;
  bool ends_answer(int32_t token) const;
  // From any thread; takes as long as Constraint::compile(), the first call some 100 ms more for a
  // large vocabulary.
  std::expected<std::shared_ptr<const Constraint>, FormatError> compile(
      const AnswerFormat& format) const;
  // An adapter (checkpoint/lora_adapter.h) for Batch and Request. From any thread: waits until the
  // step that runs is over.
  Result<std::shared_ptr<const LoraWeights>> load_adapter(const std::filesystem::path& path);
  // Fails naming the first token id that is not in the vocabulary.
  Status check_tokens(std::span<const int32_t> tokens) const;

  std::unique_ptr<PackedCache> packed_cache;  // may be null
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Kernels> kernels;
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<Tokenizer> tokenizer;         // may be null
  std::unique_ptr<ChatTemplate> chat_template;  // may be null
  std::string chat_template_error;              // why it is null although the checkpoint has one
  std::optional<ToolFormat> tool_format;        // in which the chat template shows calls
  bool arguments_as_text = false;               // wants_arguments_as_text(the chat template)
  std::shared_ptr<const LoraWeights> adapter;   // LoadOptions::adapter; may be null
  std::vector<int32_t> end_tokens;              // any of them ends an answer
  ModelInfo info;
  std::mutex compute;

 private:
  Result<std::shared_ptr<const ConstraintVocabulary>> constraint_vocabulary() const;

  mutable std::mutex constraints_mutex_;
  mutable std::shared_ptr<const ConstraintVocabulary> constraints_;  // null until it is needed
};

// Nothing: the kernels choose.
std::optional<CacheType> cache_type(CacheFormat format);

// The public handle's body.
struct Model::Impl {
  std::shared_ptr<Engine> engine;
};

}  // namespace fathom
