// What a client asks of a ServingEngine and what it hears back while the answer grows.
//
// A Request is handed over whole. Its sink is called on the engine's thread, between two steps of
// the model: it must return quickly (pass the event on, do not write to a socket) and must not
// throw. Events of one request come in order; those of its `answers` are interleaved, told apart
// by index. Every answer ends with exactly one on_end(), also when it was cancelled or failed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/answer_stream.h"
#include "fathom/fathom.h"
#include "text/constraint.h"

namespace fathom {

class LoraWeights;

using RequestId = uint64_t;

// Classes of requests: all that wait in a higher class go first, except that every eighth place
// goes to whoever has waited longest, so that none starves.
enum class Priority : uint8_t { kHigh, kNormal, kLow };

// How the hidden states of a text become its embedding; kNone: the request is for an answer.
enum class Pooling : uint8_t { kNone, kMean, kLast };

struct TokenScore {
  int32_t token = 0;
  float logprob =
      0;  // natural logarithm of the model's own probability, before all sampling options
};

// A token and, where asked for, how likely the model found it.
struct ScoredToken {
  int32_t token = 0;
  std::optional<float> logprob;  // none: not asked for, or the first token of a prompt
  std::vector<TokenScore> top;   // the most likely tokens at this place, best first
  // Of the model's own distribution that the token was drawn from, in nats; with
  // Request::entropies.
  std::optional<float> entropy = {};
};

// A piece of text that is certain: whole characters, never part of a stop string.
struct TextPart {
  std::string text;
  bool reasoning = false;  // inside an R1-style <think> block, whose tags are not shown
};

// What one step brought an answer. Text may lag behind its tokens (half a character, a possible
// stop string), so either list may be empty.
struct AnswerChunk {
  int32_t answer = 0;  // index, below Request::answers
  std::vector<TextPart> parts;
  std::vector<ScoredToken> tokens;
  double seconds = 0;  // since submit()
};

struct AnswerEnd {
  int32_t answer = 0;
  FinishReason reason = FinishReason::kStop;
  std::optional<Error> error;  // the answer failed; reason is then kCancelled
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;       // of the prompt, taken from the prefix cache
  int64_t completion_tokens = 0;   // of this answer
  int64_t preemptions = 0;         // times it gave its memory to older requests and recomputed
  double queued_seconds = 0;       // from submit() until the first of its tokens was computed
  double first_token_seconds = 0;  // from submit() to the first token; 0 if there was none
  double seconds = 0;              // from submit() to the end
  std::vector<float> embedding;    // [hidden_size], of length 1; with Request::pooling
};

class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  // With Request::score_prompt, before the first answer: the prompt's tokens in order, in several
  // calls if it is long.
  virtual void on_prompt_scores(const std::vector<ScoredToken>& tokens) { (void)tokens; }
  virtual void on_chunk(const AnswerChunk& chunk) = 0;
  virtual void on_end(const AnswerEnd& end) = 0;
};

struct Request {
  std::vector<int32_t> prompt;  // token ids, at least one
  // With several answers and a seed, answer i is drawn with seed + i.
  GenerateOptions options;
  // AnswerStream::reasoning_after(rendered prompt) for a chat, kNone for a bare text.
  AnswerStream::Reasoning reasoning = AnswerStream::Reasoning::kNone;
  int32_t answers = 1;  // n: they share the computation and the memory of the prompt
  // Scores for every token of the answer, with this many alternatives (0 to 20).
  std::optional<int32_t> logprobs;
  bool entropies = false;  // with logprobs: the entropy at every token of the answer
  // Scores for every token of the prompt too, with `logprobs` alternatives. Computes the whole
  // prompt even where the prefix cache has it.
  bool score_prompt = false;
  // options.format as Engine::compile() made it; null: submit() does that.
  std::shared_ptr<const Constraint> constraint = {};
  bool keep_special = false;  // the text shows special tokens: marks of tool calls may be such
  Pooling pooling = Pooling::kNone;  // otherwise: no answer, an embedding of the prompt
  // Of the engine that is asked; null: the model as it is (or with LoadOptions::adapter).
  std::shared_ptr<const LoraWeights> adapter = {};
  Priority priority = Priority::kNormal;
  std::shared_ptr<AnswerSink> sink;
};

}  // namespace fathom
