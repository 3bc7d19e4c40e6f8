#include "text/constraint.h"

#include <ctime>
#include <utility>

#include "text/bridge_text.h"
#include "text/tokenizer.h"

namespace fathom {
namespace {

static_assert(static_cast<int>(AnswerFormat::Kind::kJsonObject) == FATHOM_JSON_OBJECT);
static_assert(static_cast<int>(AnswerFormat::Kind::kJsonSchema) == FATHOM_JSON_SCHEMA);
static_assert(static_cast<int>(AnswerFormat::Kind::kRegex) == FATHOM_REGEX);
static_assert(static_cast<int>(AnswerFormat::Kind::kGrammar) == FATHOM_GRAMMAR);

std::string_view name(AnswerFormat::Kind kind) {
  switch (kind) {
    case AnswerFormat::Kind::kJsonObject:
      return "JSON object";
    case AnswerFormat::Kind::kJsonSchema:
      return "JSON schema";
    case AnswerFormat::Kind::kRegex:
      return "regular expression";
    case AnswerFormat::Kind::kGrammar:
      return "grammar";
  }
  return "";
}

// Others' answers wait for it.
constexpr double kLongestStep = 0.1;

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

Result<std::shared_ptr<const ConstraintVocabulary>> ConstraintVocabulary::make(
    const Tokenizer& tokenizer, int64_t vocab_size, std::span<const int32_t> end_tokens) {
  FathomText error{};
  FathomConstraints* handle =
      fathom_constraints_make(tokenizer.bridge(), static_cast<size_t>(vocab_size),
                              end_tokens.data(), end_tokens.size(), &error);
  if (handle == nullptr) {
    return fail("The vocabulary cannot be used for constraints: {}.", take_text(error));
  }
  return std::shared_ptr<const ConstraintVocabulary>(new ConstraintVocabulary(handle, vocab_size));
}

ConstraintVocabulary::~ConstraintVocabulary() {
  fathom_constraints_free(handle_);
}

ConstraintState::ConstraintState(std::shared_ptr<const ConstraintVocabulary> vocabulary,
                                 FathomMatcher* matcher)
    : vocabulary_(std::move(vocabulary)),
      matcher_(matcher),
      mask_(std::make_unique<uint32_t[]>(vocabulary_->mask_words())) {}

ConstraintState::~ConstraintState() {
  fathom_matcher_free(matcher_);
}

// The crate limits what a step may do, but an ambiguous grammar's steps grow with the text. Time on
// the processor, so that a busy machine is not taken for a bad grammar.
template <typename Step>
Status ConstraintState::take_step(Step step) {
  FathomText error{};
  const double begin = thread_seconds();
  if (!step(&error)) {
    return usage_error("The answer cannot go on under its constraint: {}.", take_text(error));
  }
  if (const double seconds = thread_seconds() - begin; seconds > kLongestStep) {
    return usage_error(
        "The answer cannot go on under its constraint: a step in it took {:.2f} s, more "
        "than {} s. Is it ambiguous?",
        seconds, kLongestStep);
  }
  return {};
}

Result<std::span<const uint32_t>> ConstraintState::mask() {
  const size_t words = vocabulary_->mask_words();
  FATHOM_CHECK(take_step(
      [&](FathomText* error) { return fathom_matcher_mask(matcher_, mask_.get(), words, error); }));
  return std::span<const uint32_t>(mask_.get(), words);
}

Status ConstraintState::accept(int32_t token) {
  return take_step(
      [&](FathomText* error) { return fathom_matcher_accept(matcher_, token, &complete_, error); });
}

Status ConstraintState::accept_text(std::string_view text) {
  return take_step([&](FathomText* error) {
    return fathom_matcher_accept_text(vocabulary_->handle_, matcher_, as_slice(text), &complete_,
                                      error);
  });
}

std::expected<std::shared_ptr<const Constraint>, FormatError> Constraint::compile(
    std::shared_ptr<const ConstraintVocabulary> vocabulary, const AnswerFormat& format) {
  FathomText error{};
  bool busy = false;
  FathomMatcher* matcher =
      fathom_matcher_make(vocabulary->handle_, static_cast<uint32_t>(format.kind),
                          as_slice(format.text), &busy, &error);
  if (matcher == nullptr) {
    return std::unexpected(
        FormatError{.message = fmt::format("The {} cannot be used{}: {}.", name(format.kind),
                                           busy ? " now" : "", take_text(error)),
                    .busy = busy});
  }
  return std::shared_ptr<const Constraint>(new Constraint(std::move(vocabulary), matcher));
}

Constraint::~Constraint() {
  fathom_matcher_free(matcher_);
}

std::unique_ptr<ConstraintState> Constraint::start() const {
  return std::unique_ptr<ConstraintState>(
      new ConstraintState(vocabulary_, fathom_matcher_clone(matcher_)));
}

}  // namespace fathom
