#include "evaluate/choice_task.h"

#include <algorithm>
#include <map>
#include <random>

#include "evaluate/statistics.h"
#include "text/answer_words.h"

namespace fathom {
namespace {

template <class Value>
double mean_of(std::span<const Answered> answered, Value value) {
  if (answered.empty()) return 0;
  double sum = 0;
  for (const auto& [question, outcome] : answered) sum += value(*question, *outcome);
  return sum / static_cast<double>(answered.size());
}

const std::string& chosen_name(const ChoiceQuestion& question, const ChoiceOutcome& outcome) {
  return question.names[static_cast<size_t>(outcome.chosen)];
}

// Characters, not bytes: lm-evaluation-harness divides by Python's len().
double characters(const std::string& text) {
  return static_cast<double>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// Questions that are drawn together: those of a group, or each alone.
std::vector<std::vector<size_t>> units_of(const ChoiceTask& task) {
  std::vector<std::vector<size_t>> units;
  std::map<std::string, size_t> groups;
  for (size_t i = 0; i < task.questions.size(); ++i) {
    const std::string& group = task.questions[i].group;
    if (group.empty()) {
      units.push_back({i});
      continue;
    }
    const auto [found, added] = groups.emplace(group, units.size());
    if (added) units.emplace_back();
    units[found->second].push_back(i);
  }
  return units;
}

}  // namespace

ChoiceOutcome judge(const ChoiceQuestion& question, std::vector<double> loglikelihoods) {
  ChoiceOutcome outcome{.loglikelihoods = std::move(loglikelihoods)};
  const auto best = [](const std::vector<double>& values) {
    return std::ranges::max_element(values) - values.begin();
  };
  outcome.chosen = best(outcome.loglikelihoods);
  std::vector<double> by_length;
  by_length.reserve(question.choices.size());
  for (size_t i = 0; i < question.choices.size(); ++i) {
    // Without the space that joins it to the context.
    const std::string& choice = question.choices[i];
    const std::string text = choice.starts_with(' ') ? choice.substr(1) : choice;
    by_length.push_back(outcome.loglikelihoods[i] / std::max(1.0, characters(text)));
  }
  outcome.chosen_by_length = best(by_length);
  return outcome;
}

double accuracy(std::span<const Answered> answered) {
  return mean_of(answered, [](const ChoiceQuestion& question, const ChoiceOutcome& outcome) {
    return outcome.chosen == question.right ? 1.0 : 0.0;
  });
}

double accuracy_by_length(std::span<const Answered> answered) {
  return mean_of(answered, [](const ChoiceQuestion& question, const ChoiceOutcome& outcome) {
    return outcome.chosen_by_length == question.right ? 1.0 : 0.0;
  });
}

double macro_f1(std::span<const Answered> answered, int64_t classes) {
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) {
    double both = 0;
    double either = 0;  // those chosen and those right, each counted
    for (const auto& [question, outcome] : answered) {
      both += outcome->chosen == c && question->right == c ? 1 : 0;
      either += (outcome->chosen == c ? 1 : 0) + (question->right == c ? 1 : 0);
    }
    if (either > 0) sum += 2 * both / either;
  }
  return sum / static_cast<double>(classes);
}

double word_f1(std::span<const Answered> answered) {
  return mean_of(answered, [](const ChoiceQuestion& question, const ChoiceOutcome& outcome) {
    double best = 0;
    for (const std::string& right : question.accepted) {
      best = std::max(best, answer_f1(chosen_name(question, outcome), right));
    }
    return best;
  });
}

double word_match(std::span<const Answered> answered) {
  return mean_of(answered, [](const ChoiceQuestion& question, const ChoiceOutcome& outcome) {
    const auto words = answer_words(chosen_name(question, outcome));
    return std::ranges::any_of(
               question.accepted,
               [&](const std::string& right) { return answer_words(right) == words; })
               ? 1.0
               : 0.0;
  });
}

std::vector<Measured> measure(const ChoiceTask& task, std::span<const ChoiceOutcome> outcomes) {
  std::vector<Answered> all;
  all.reserve(task.questions.size());
  for (size_t i = 0; i < task.questions.size(); ++i) {
    all.emplace_back(&task.questions[i], &outcomes[i]);
  }
  std::vector<Measured> measured;
  measured.reserve(task.metrics.size());
  for (const Metric& metric : task.metrics) {
    measured.push_back({.name = metric.name, .value = metric.of(all)});
  }
  const auto units = units_of(task);
  if (units.empty()) return measured;
  std::mt19937_64 random(1);  // the same intervals for the same outcomes
  std::uniform_int_distribution<size_t> draw(0, units.size() - 1);
  std::vector<std::vector<double>> samples(measured.size());
  std::vector<Answered> sample;
  for (int i = 0; i < kResamples; ++i) {
    sample.clear();
    for (size_t drawn = 0; drawn < units.size(); ++drawn) {
      for (const size_t question : units[draw(random)]) sample.push_back(all[question]);
    }
    for (size_t m = 0; m < measured.size(); ++m) {
      samples[m].push_back(task.metrics[m].of(sample));
    }
  }
  for (size_t m = 0; m < measured.size(); ++m) {
    std::ranges::sort(samples[m]);
    measured[m].low = percentile(samples[m], 0.025);
    measured[m].high = percentile(samples[m], 0.975);
  }
  return measured;
}

double task_score(const ChoiceTask& task, std::span<const Measured> measured) {
  double sum = 0;
  for (const Measured& metric : measured) {
    if (std::ranges::find(task.scored_by, metric.name) != task.scored_by.end()) sum += metric.value;
  }
  return task.scored_by.empty() ? 0 : sum / static_cast<double>(task.scored_by.size());
}

}  // namespace fathom
