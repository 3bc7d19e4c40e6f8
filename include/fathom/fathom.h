// Fathom's public C++ API: load a model, open a session, stream an answer.
//
//   auto model = fathom::Model::load("model.gguf");
//   if (!model) return report(model.error().message);
//   fathom::Session session(*model);
//   auto answer = session.chat({{"user", "Why is the sky blue?"}}, {},
//                              [](const fathom::Piece& p) { std::cout << p.text; return true; });
//
// A Model is a cheap handle to immutable shared weights; copies share them. Sessions of one Model
// may live on several threads, each session on one thread at a time; their computation takes turns.
// A Session keeps its KV cache between calls and recomputes only what changed since the last one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fathom/answer_format.h"
#include "fathom/export.h"
#include "fathom/result.h"
#include "fathom/sampling.h"

namespace fathom {

enum class KernelSet {
  kAuto,       // the fastest for this CPU
  kReference,  // plain F32 loops: slow, exact, the definition of right
};

// What keys and values are kept as, for all tokens of all contexts.
enum class CacheFormat {
  kAuto,  // F16 (F32 with the reference kernels)
  kF16,
  kBF16,
  kInt8,  // about half the memory, a scale for each row
};

inline constexpr int64_t kDefaultPackedCacheBytes = int64_t{50} * 1000 * 1000 * 1000;

struct LoadOptions {
  int threads = 0;  // 0: one for each core this process may use
  // Binds threads to processors, cores first; the thread that calls stays free. For machines that
  // do nothing else.
  bool pin_threads = false;
  // Spreads weights and the KV cache over the memory nodes in use, where there are several.
  bool numa = true;
  KernelSet kernels = KernelSet::kAuto;
  bool mtp = false;  // also load the multi-token prediction layer, for Speculation::Method::kMtp
  CacheFormat cache_format = CacheFormat::kAuto;
  // A directory with a LoRA adapter as PEFT writes it, for all sessions; empty: none.
  std::string adapter = {};
  // Called now and then while weights are prepared, with a fraction in [0, 1]. May be empty.
  std::function<void(double fraction)> on_progress;

  // A chat template (Jinja) in place of the checkpoint's; empty: the checkpoint's own.
  std::string chat_template = {};

  // A folder to keep packed weights in, so that the next start maps them instead of packing again;
  // empty: none is used. Only models that take a while to pack are kept. Any number of processes
  // may share a folder; the files least recently used go when it would hold more than the limit.
  std::string packed_cache = {};
  int64_t packed_cache_bytes = kDefaultPackedCacheBytes;
  // A sentence for the user about something that is not an error, such as a full disk that nothing
  // can be kept on. Called from any thread. May be empty.
  std::function<void(std::string_view note)> on_note = {};
};

struct ModelInfo {
  std::string name;
  std::string architecture;  // as the checkpoint spells it
  std::string tier;          // "V1", "Lite", "Nano"
  std::string kernels;       // "avx2", "reference", ...
  int64_t parameters = 0;
  int64_t active_parameters = 0;  // used for one token
  int64_t context = 0;            // the most the model was made for
  int64_t vocab_size = 0;
  int64_t weight_bytes = 0;  // memory held by weights
  int64_t cache_bytes_per_token = 0;
  int threads = 0;
  bool has_tokenizer = false;
  bool has_chat_template = false;
};

struct Message {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
  std::string reasoning_content = {};  // what an R1-style model thought before its answer
  // Of an assistant: the tools it called, a JSON array in the shape of OpenAI's API. Of a tool:
  // which call its content answers.
  std::string tool_calls = {};
  std::string tool_call_id = {};
};

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_tokens = -1;        // -1: until the answer or the context ends
  std::vector<std::string> stop;  // the answer ends before the first of these
  bool stop_at_eos = true;
  // Of the answer after a reasoning model's thoughts. An answer that is complete ends, also without
  // stop_at_eos; no tokens are guessed ahead (Speculation) under a format.
  std::optional<AnswerFormat> format = {};
};

// A piece of an answer, as soon as it is certain: whole characters, never part of a stop string.
struct Piece {
  std::string_view text;
  bool reasoning = false;  // inside an R1-style <think> block; the tags themselves are not shown
};

enum class FinishReason {
  kStop,       // an end-of-turn token or a stop string
  kLength,     // max_tokens or the context is used up
  kCancelled,  // the callback returned false
};
FATHOM_API std::string_view name(FinishReason reason);  // "stop", "length", "cancelled"

struct Answer {
  std::string text;       // without reasoning
  std::string reasoning;  // empty for most models
  std::vector<int32_t> tokens;
  FinishReason finish = FinishReason::kStop;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;       // of the prompt, found in the session's cache
  double time_to_first_token = 0;  // seconds, from the call to the first sampled token
  double decode_seconds = 0;       // from the first token to the last
  // With speculation: tokens that were guessed, and of those the ones the model agreed with.
  int64_t drafted_tokens = 0;
  int64_t accepted_tokens = 0;
};

// Called for every piece, on the thread that called; returning false ends the answer. Now and then
// the text is empty (during a long prompt): a chance to end it before there is anything to show.
using OnPiece = std::function<bool(const Piece&)>;

class FATHOM_API Model {
 public:
  // A GGUF file or a Hugging Face checkpoint directory.
  static Result<Model> load(const std::string& path, const LoadOptions& options = {});

  const ModelInfo& info() const;

  // Fails where the checkpoint has no tokenizer. Special tokens in `text` count as plain text
  // unless parse_special.
  Result<std::vector<int32_t>> tokenize(std::string_view text, bool parse_special = false,
                                        bool add_special_tokens = true) const;
  Result<std::string> detokenize(const std::vector<int32_t>& tokens) const;
  Result<std::string> render_chat(const std::vector<Message>& messages,
                                  bool add_generation_prompt = true) const;

  // What the model's makers advise (generation_config.json), for those who do not choose.
  SamplingOptions recommended_sampling() const;

  struct Impl;
  const std::shared_ptr<Impl>& impl() const { return impl_; }

 private:
  explicit Model(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

// Speculative decoding: the next tokens are guessed cheaply, and the model checks all guesses in
// one step. Answers are drawn exactly as without it; only their speed differs. It measures itself,
// and guesses fewer tokens or none while that does not pay.
//
// With kLookup, and with every method at temperature 0, even the text of a seed is the same as
// without. With the others at higher temperatures the text is as likely, but drawn with other
// random numbers, which depend on how many tokens were guessed.
struct Speculation {
  enum class Method {
    kOff,
    kLookup,      // what followed the last tokens where they stood before, in prompt or answer
    kMtp,         // what the model's own multi-token prediction layer says (DeepSeek-V3)
    kDraftModel,  // what `draft` would say
  };
  Method method = Method::kOff;
  std::optional<Model> draft = {};  // a smaller model of the same vocabulary
  int64_t draft_tokens = 0;         // most to guess at a time, 1 to 16; 0: the method's own number
};

class FATHOM_API Session {
 public:
  // context: the most tokens of prompt and answer together; 0: what the model was made for, at most
  // 32768. Memory is taken as the context fills.
  explicit Session(const Model& model, int64_t context = 0);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  // Continues a bare text.
  Result<Answer> complete(std::string_view prompt, const GenerateOptions& options = {},
                          const OnPiece& on_piece = {});
  // Answers the last of `messages`, formatted by the model's own chat template.
  Result<Answer> chat(const std::vector<Message>& messages, const GenerateOptions& options = {},
                      const OnPiece& on_piece = {});
  // Continues token ids; works without a tokenizer (then pieces are empty).
  Result<Answer> continue_tokens(const std::vector<int32_t>& prompt,
                                 const GenerateOptions& options = {}, const OnPiece& on_piece = {});

  // Logits after each of `tokens` (all) or after the last; rows of vocab_size. Forgets the cache.
  Result<std::vector<std::vector<float>>> logits(const std::vector<int32_t>& tokens,
                                                 bool all = false);
  // The same, handed over as they come, for texts whose logits are too many to keep: first is the
  // position whose row comes first (all before it are only read). A row is valid during its call.
  using OnLogits = std::function<void(int64_t position, const float* row)>;
  Status each_logits(const std::vector<int32_t>& tokens, int64_t first, const OnLogits& on_logits);

  // How the answers from now on are sped up. Fails, and changes nothing, where the model or the
  // draft model do not allow it.
  Status speculate(const Speculation& speculation);

  int64_t context() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fathom
