// fathom::Session: one conversation with a model. Prefill in chunks, then token by token, or with
// speculation a few at a time, all through the same LanguageModel::forward(); what the cache
// already holds is not computed again.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "engine/answer_constraint.h"
#include "engine/answer_stream.h"
#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "engine/sampler.h"
#include "engine/speculation/make_speculator.h"
#include "fathom/fathom.h"

namespace fathom {

namespace {

// Enough for most conversations; the cache takes memory only as it fills, but address space is
// reserved at once.
constexpr int64_t kDefaultContextLimit = 32768;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

std::string_view name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "";
}

struct Session::Impl {
  std::shared_ptr<Engine> engine;
  int64_t context = 0;
  std::optional<KvCache> cache;  // made with the first tokens
  std::optional<CachedSequence> sequence;
  std::unique_ptr<Speculator> speculator;  // null: no speculation
  Batch batch;                             // of one sequence, kept for its memory

  Status prepare();
  Status check_prompt(std::span<const int32_t> prompt, const GenerateOptions& options) const;
  Status append(std::span<const int32_t> tokens);
  Result<std::span<const float>> compute(int64_t position, BatchSequence::Logits logits);
  Status next_tokens(std::span<const int32_t> tokens, int64_t most, Sampler& sampler,
                     AnswerConstraint* constraint, std::vector<int32_t>& said);
  Status observe(int64_t position);
  Result<std::span<const int32_t>> prefill(std::span<const int32_t> tokens, AnswerStream& stream);
  Result<Answer> answer(std::span<const int32_t> prompt, const GenerateOptions& options,
                        AnswerStream::Reasoning reasoning, const OnPiece& on_piece);
};

Session::Session(const Model& model, int64_t context) : impl_(std::make_unique<Impl>()) {
  impl_->engine = model.impl()->engine;
  const int64_t own = impl_->engine->info.context;
  impl_->context = context > 0 ? context : std::min(own, kDefaultContextLimit);
}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

int64_t Session::context() const {
  return impl_->context;
}

Status Session::speculate(const Speculation& speculation) {
  FATHOM_TRY(impl_->speculator, make_speculator(*impl_->engine, speculation, impl_->context));
  return {};
}

Status Session::Impl::prepare() {
  if (cache) return {};
  FATHOM_TRY(cache, KvCache::make(engine->model->cache_layout(), context));
  sequence.emplace(*cache);
  return {};
}

Status Session::Impl::check_prompt(std::span<const int32_t> prompt,
                                   const GenerateOptions& options) const {
  FATHOM_CHECK(validate(options.sampling));
  if (prompt.empty()) return fail("The prompt is empty: there is nothing to continue.");
  FATHOM_CHECK(engine->check_tokens(prompt));
  const auto length = static_cast<int64_t>(prompt.size());
  if (length >= context) {
    return fail(
        "The prompt has {} tokens and the context holds {}, with no room for an answer. "
        "Shorten it or choose a larger context (--context; the model was made for {}).",
        length, context, engine->info.context);
  }
  return {};
}

Status Session::Impl::append(std::span<const int32_t> tokens) {
  if (!sequence->append(tokens)) return fail("The context of {} tokens is full.", context);
  return {};
}

// Computes the sequence's tokens from `position` on (at most max_batch_tokens). The logits belong
// to the model: the caller holds engine->compute until it is done with them.
Result<std::span<const float>> Session::Impl::compute(int64_t position,
                                                      BatchSequence::Logits logits) {
  batch.sequences.assign(1, {.tokens = sequence->tokens().subspan(static_cast<size_t>(position)),
                             .position = position,
                             .pages = sequence->pages(),
                             .logits = logits,
                             .hidden_states = speculator && speculator->observes(),
                             .adapter = engine->adapter.get()});
  const auto out = engine->model->forward(batch, cache->pool());
  if (std::any_of(out.begin(), out.end(), [](float x) { return std::isnan(x); })) {
    sequence->truncate(position);
    return fail(
        "{} computed logits that are not numbers: its weights are damaged or not meant "
        "for this architecture.",
        engine->checkpoint->path().string());
  }
  return out;
}

// Computes `tokens`, the rest of the prompt or the last token said, and with it what the speculator
// guesses. Sets `said` to the tokens that follow: at least one, at most `most`. Under a constraint
// (or null) nothing is guessed.
Status Session::Impl::next_tokens(std::span<const int32_t> tokens, int64_t most, Sampler& sampler,
                                  AnswerConstraint* constraint, std::vector<int32_t>& said) {
  said.clear();
  const std::lock_guard lock(engine->compute);
  const int64_t position = sequence->length();
  FATHOM_CHECK(append(tokens));
  const int64_t known = sequence->length();
  if (speculator && constraint == nullptr && tokens.size() == 1) {
    FATHOM_TRY(const Draft* draft, speculator->draft(sequence->tokens(), most - 1));
    FATHOM_CHECK(append(draft->tokens));
    FATHOM_TRY(const std::span<const float> logits, compute(position, BatchSequence::Logits::kAll));
    speculator->verify(logits, sampler, said);
    sequence->truncate(known + static_cast<int64_t>(said.size()) - 1);
  } else {
    FATHOM_TRY(const std::span<const float> logits,
               compute(position, BatchSequence::Logits::kLast));
    std::span<const uint32_t> allowed;
    if (constraint != nullptr) {
      FATHOM_TRY(allowed, constraint->allowed());
    }
    said.push_back(sampler.sample(logits, allowed));
  }
  return observe(position);
}

// Tells the speculator which of the last compute()'s tokens, from `position` on, remain.
Status Session::Impl::observe(int64_t position) {
  if (!speculator || !speculator->observes()) return {};
  const auto tokens = sequence->tokens().subspan(static_cast<size_t>(position));
  const auto width = static_cast<size_t>(engine->model->config().hidden_size);
  return speculator->observe(position, tokens,
                             engine->model->hidden_states().first(tokens.size() * width));
}

// Computes all of `tokens` but a last chunk, which it returns; nothing is left if the caller
// cancelled. Other sessions may take their turn between two chunks.
Result<std::span<const int32_t>> Session::Impl::prefill(std::span<const int32_t> tokens,
                                                        AnswerStream& stream) {
  const auto chunk = static_cast<size_t>(engine->model->max_batch_tokens());
  while (tokens.size() > chunk && !stream.ended()) {
    const std::lock_guard lock(engine->compute);
    const int64_t position = sequence->length();
    FATHOM_CHECK(append(tokens.first(chunk)));
    FATHOM_CHECK(compute(position, BatchSequence::Logits::kNone));
    FATHOM_CHECK(observe(position));
    tokens = tokens.subspan(chunk);
    stream.poll();
  }
  return tokens;
}

Result<Answer> Session::Impl::answer(std::span<const int32_t> prompt,
                                     const GenerateOptions& options,
                                     AnswerStream::Reasoning reasoning, const OnPiece& on_piece) {
  const auto start = Clock::now();
  FATHOM_CHECK(prepare());
  FATHOM_CHECK(check_prompt(prompt, options));
  Answer answer;
  answer.prompt_tokens = static_cast<int64_t>(prompt.size());
  const int64_t room = context - answer.prompt_tokens;
  const int64_t limit = options.max_tokens < 0 ? room : std::min(options.max_tokens, room);
  AnswerStream stream(engine->tokenizer.get(), options.stop, reasoning, on_piece);
  Sampler sampler(options.sampling, prompt);
  std::shared_ptr<const Constraint> format;
  std::optional<AnswerConstraint> constraint;
  if (options.format) {
    auto compiled = engine->compile(*options.format);
    if (!compiled) return fail("{}", compiled.error().message);
    format = *std::move(compiled);
    constraint.emplace(*engine->tokenizer, *format, reasoning);
  }
  if (limit == 0) stream.finish(FinishReason::kLength);

  // The last token is computed even if the cache has it, for its logits.
  answer.cached_tokens = std::min(sequence->common_prefix(prompt), answer.prompt_tokens - 1);
  sequence->truncate(answer.cached_tokens);
  FATHOM_TRY(std::span<const int32_t> tokens,
             prefill(prompt.subspan(static_cast<size_t>(answer.cached_tokens)), stream));

  if (speculator) speculator->begin(options.sampling);
  Clock::time_point first_token = start;
  std::vector<int32_t> said;
  int32_t last = 0;
  for (int64_t count = 0; !stream.ended();) {
    FATHOM_CHECK(
        next_tokens(tokens, limit - count, sampler, constraint ? &*constraint : nullptr, said));
    if (count == 0) {
      first_token = Clock::now();
      answer.time_to_first_token = seconds_since(start);
    }
    answer.decode_seconds = seconds_since(first_token);
    for (const int32_t token : said) {
      if ((options.stop_at_eos || constraint) && engine->ends_answer(token)) {
        stream.finish(FinishReason::kStop);
      } else {
        stream.push(token);
        if (constraint && !stream.ended()) {
          FATHOM_CHECK(constraint->say(token));
          if (constraint->complete()) stream.finish(FinishReason::kStop);
        }
        if (++count == limit && !stream.ended()) stream.finish(FinishReason::kLength);
      }
      if (stream.ended()) break;
    }
    last = said.back();
    tokens = {&last, 1};
  }
  if (speculator) {
    answer.drafted_tokens = speculator->drafted();
    answer.accepted_tokens = speculator->accepted();
  }
  stream.collect(answer);
  return answer;
}

Result<Answer> Session::complete(std::string_view prompt, const GenerateOptions& options,
                                 const OnPiece& on_piece) {
  FATHOM_TRY(const Tokenizer* tokenizer, impl_->engine->need_tokenizer());
  FATHOM_TRY(std::vector<int32_t> tokens, tokenizer->encode(prompt, SpecialText::kPlain, true));
  return impl_->answer(tokens, options, AnswerStream::Reasoning::kNone, on_piece);
}

Result<Answer> Session::chat(const std::vector<Message>& messages, const GenerateOptions& options,
                             const OnPiece& on_piece) {
  FATHOM_TRY(const Tokenizer* tokenizer, impl_->engine->need_tokenizer());
  FATHOM_TRY(const std::string prompt, impl_->engine->render(messages, true, tokenizer));
  // The template writes BOS itself.
  FATHOM_TRY(std::vector<int32_t> tokens, tokenizer->encode(prompt, SpecialText::kParse, false));
  return impl_->answer(tokens, options, AnswerStream::reasoning_after(prompt), on_piece);
}

Result<Answer> Session::continue_tokens(const std::vector<int32_t>& prompt,
                                        const GenerateOptions& options, const OnPiece& on_piece) {
  return impl_->answer(prompt, options, AnswerStream::Reasoning::kNone, on_piece);
}

Status Session::each_logits(const std::vector<int32_t>& tokens, int64_t first,
                            const OnLogits& on_logits) {
  FATHOM_CHECK(impl_->prepare());
  const auto length = static_cast<int64_t>(tokens.size());
  if (tokens.empty()) return fail("There are no tokens to compute logits for.");
  if (first < 0 || first >= length) {
    return fail("There is no position {} in {} tokens.", first, length);
  }
  FATHOM_CHECK(impl_->engine->check_tokens(tokens));
  if (length > impl_->context) {
    return fail("{} tokens do not fit into the context of {}.", length, impl_->context);
  }
  const std::lock_guard lock(impl_->engine->compute);
  impl_->sequence->truncate(0);
  const int64_t vocab = impl_->engine->info.vocab_size;
  const int64_t chunk = impl_->engine->model->max_batch_tokens();
  using Logits = BatchSequence::Logits;
  for (int64_t begin = 0; begin < length;) {
    const int64_t end = std::min(length, begin + chunk);
    const Logits wanted = first < end - 1 ? Logits::kAll
                          : first < end   ? Logits::kLast
                                          : Logits::kNone;
    const auto part =
        std::span(tokens).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    FATHOM_CHECK(impl_->append(part));
    FATHOM_TRY(const std::span<const float> out, impl_->compute(begin, wanted));
    const int64_t computed = static_cast<int64_t>(out.size()) / vocab;
    for (int64_t i = 0; i < computed; ++i) {
      const int64_t position = end - computed + i;
      if (position >= first) on_logits(position, out.data() + i * vocab);
    }
    begin = end;
  }
  return {};
}

Result<std::vector<std::vector<float>>> Session::logits(const std::vector<int32_t>& tokens,
                                                        bool all) {
  std::vector<std::vector<float>> rows;
  const auto vocab = impl_->engine->info.vocab_size;
  const int64_t first = all ? 0 : std::max<int64_t>(0, static_cast<int64_t>(tokens.size()) - 1);
  FATHOM_CHECK(each_logits(
      tokens, first, [&](int64_t, const float* row) { rows.emplace_back(row, row + vocab); }));
  return rows;
}

}  // namespace fathom
