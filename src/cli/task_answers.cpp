#include "cli/task_answers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "cli/terminal.h"
#include "cli/work_progress.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

// FNV-1a.
class Fingerprint {
 public:
  void add(std::string_view text) {
    for (const char c : text) step(static_cast<unsigned char>(c));
    step(0);
  }
  std::string text() const { return fmt::format("{:016x}", hash_); }

 private:
  void step(unsigned char byte) { hash_ = (hash_ ^ byte) * 0x100000001b3; }
  uint64_t hash_ = 0xcbf29ce484222325;
};

std::string fingerprint(const ChoiceTask& task) {
  Fingerprint print;
  for (const ChoiceQuestion& question : task.questions) {
    print.add(question.context);
    for (const std::string& choice : question.choices) print.add(choice);
    print.add(fmt::format("{}", question.right));
  }
  return print.text();
}

std::string fingerprint(const GenerationTask& task) {
  Fingerprint print;
  for (const auto& question : task.questions) {
    print.add(question.asked.prompt);
    print.add(fmt::format("{} {} {}", question.asked.chat, question.asked.max_tokens,
                          fmt::join(question.asked.stop, "\n")));
    for (const std::string& accepted : question.accepted) print.add(accepted);
  }
  return print.text();
}

// Answers come in portions, each of which is kept before the next is asked, so that an interrupted
// run loses no more than one.
constexpr size_t kPortion = 64;

// `ask(first, last, on_done)` returns an outcome for each of the questions; `key` is the whole
// run's.
template <class Ask>
Result<std::vector<Json>> answer(EvaluationResults* results, int64_t run, const std::string& name,
                                 size_t questions, const Ask& ask) {
  std::vector<Json> outcomes(questions);
  std::vector<char> known(questions, 0);
  if (results != nullptr) {
    FATHOM_TRY(const auto stored, results->answers(run));
    for (const StoredAnswer& one : stored) {
      Json outcome = Json::parse(one.outcome, nullptr, false);
      const auto at = static_cast<size_t>(one.question);
      if (at >= questions || outcome.is_discarded()) continue;
      outcomes[at] = std::move(outcome);
      known[at] = 1;
    }
    const auto before = std::ranges::count(known, 1);
    if (before > 0) {
      note(fmt::format("fathom: {}: goes on after {} of {} questions.\n", name, before, questions));
    }
  }
  const InterruptScope interrupt;
  WorkProgress progress(name);
  std::vector<size_t> open;
  for (size_t i = 0; i < questions; ++i) {
    if (known[i] == 0) open.push_back(i);
  }
  for (size_t first = 0; first < open.size(); first += kPortion) {
    const auto portion = std::span(open).subspan(first, std::min(kPortion, open.size() - first));
    const auto on_part = [&](double part) {
      const double done = static_cast<double>(questions - open.size() + first) +
                          part * static_cast<double>(portion.size());
      progress.show(done / static_cast<double>(questions));
      return !interrupt.requested();
    };
    FATHOM_TRY(std::vector<Json> found, ask(portion, on_part));
    std::vector<StoredAnswer> stored;
    stored.reserve(portion.size());
    for (size_t i = 0; i < portion.size(); ++i) {
      stored.push_back({static_cast<int64_t>(portion[i]),
                        found[i].dump(-1, ' ', false, Json::error_handler_t::replace)});
      outcomes[portion[i]] = std::move(found[i]);
    }
    if (results != nullptr) FATHOM_CHECK(results->add(run, stored));
  }
  return outcomes;
}

Result<TaskAnswers> answer(EvaluationResults* results, int64_t run, Answerer& answerer,
                           const ChoiceTask& task) {
  FATHOM_TRY(
      const auto outcomes,
      answer(
          results, run, task.name, task.questions.size(),
          [&](std::span<const size_t> portion, const auto& on_part) -> Result<std::vector<Json>> {
            std::vector<Continuation> asked;
            for (const size_t i : portion) {
              const ChoiceQuestion& question = task.questions[i];
              for (const std::string& choice : question.choices) {
                asked.push_back({.context = question.context, .text = choice});
              }
            }
            FATHOM_TRY(const auto scores, answerer.loglikelihoods(asked, [&](size_t done) {
              return on_part(static_cast<double>(done) / static_cast<double>(asked.size()));
            }));
            std::vector<Json> found;
            found.reserve(portion.size());
            auto next = scores.begin();
            for (const size_t i : portion) {
              const auto end = next + std::ssize(task.questions[i].choices);
              found.emplace_back(std::vector<double>(next, end));
              next = end;
            }
            return found;
          }));
  TaskAnswers answers{.task = task, .outcomes = {}, .given = {}};
  answers.outcomes.reserve(outcomes.size());
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const ChoiceQuestion& question = task.questions[i];
    const bool fine = outcomes[i].is_array() && outcomes[i].size() == question.choices.size() &&
                      std::ranges::all_of(outcomes[i], [](const Json& x) { return x.is_number(); });
    if (!fine) return fail("What is kept of the task {} is damaged.", task.name);
    answers.outcomes.push_back(judge(question, outcomes[i].get<std::vector<double>>()));
  }
  return answers;
}

Result<TaskAnswers> answer(EvaluationResults* results, int64_t run, Answerer& answerer,
                           const GenerationTask& task) {
  FATHOM_TRY(
      const auto outcomes,
      answer(
          results, run, task.name, task.questions.size(),
          [&](std::span<const size_t> portion, const auto& on_part) -> Result<std::vector<Json>> {
            std::vector<OpenQuestion> asked;
            asked.reserve(portion.size());
            for (const size_t i : portion) asked.push_back(task.questions[i].asked);
            FATHOM_TRY(const auto texts, answerer.generate(asked, [&](size_t done) {
              return on_part(static_cast<double>(done) / static_cast<double>(asked.size()));
            }));
            return std::vector<Json>(texts.begin(), texts.end());
          }));
  std::vector<std::string> given;
  given.reserve(outcomes.size());
  for (const Json& outcome : outcomes) {
    if (!outcome.is_string()) return fail("What is kept of the task {} is damaged.", task.name);
    given.push_back(outcome.get<std::string>());
  }
  CountedAnswers counted = count_answers(task, given);
  return TaskAnswers{.task = std::move(counted.task),
                     .outcomes = std::move(counted.outcomes),
                     .given = std::move(given)};
}

}  // namespace

std::string fingerprint(const Task& task) {
  return std::visit([](const auto& one) { return fingerprint(one); }, task);
}

Result<TaskAnswers> answer_task(EvaluationResults* results, int64_t run, Answerer& answerer,
                                const Task& task) {
  return std::visit([&](const auto& one) { return answer(results, run, answerer, one); }, task);
}

}  // namespace fathom::cli
