// Tasks whose questions have a few possible answers: each is appended to the question, and the
// model chooses the one that it finds most likely. Defined as in EleutherAI's lm-evaluation-harness
// ("multiple_choice"), so that numbers can be compared with published ones.
//
// Values and pure functions; whoever calls runs the model (evaluate/likelihood.h).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace fathom {

struct ChoiceQuestion {
  std::string context;
  std::vector<std::string> choices;     // continuations, with the space that precedes them
  int64_t right = 0;                    // index into choices
  std::string group = {};               // questions of one group are right together or not at all
  std::vector<std::string> names = {};  // what choosing each means; for metrics of words
  std::vector<std::string> accepted = {};  // names that are right
};

// What a model made of a question.
struct ChoiceOutcome {
  std::vector<double> loglikelihoods;  // of each choice, natural logarithm
  int64_t chosen = 0;                  // the most likely choice; the first of equals
  int64_t chosen_by_length = 0;        // the most likely per character
};
ChoiceOutcome judge(const ChoiceQuestion& question, std::vector<double> loglikelihoods);

using Answered = std::pair<const ChoiceQuestion*, const ChoiceOutcome*>;

struct Metric {
  std::string name;
  // Of the questions that it is given, in any number and order, also none.
  std::function<double(std::span<const Answered>)> of;
};

struct ChoiceTask {
  std::string name;
  std::vector<ChoiceQuestion> questions;
  std::vector<Metric> metrics;
  // Names of the metrics whose mean is the task's score.
  std::vector<std::string> scored_by = {"acc"};
};

// Metrics.
double accuracy(std::span<const Answered> answered);
double accuracy_by_length(std::span<const Answered> answered);  // "acc_norm"
// The unweighted mean over `classes` choices of the F1 of choosing it.
double macro_f1(std::span<const Answered> answered, int64_t classes);
// Mean over questions of the best overlap of words (SQuAD's F1), or of equality, between the name
// of the chosen answer and an accepted one.
double word_f1(std::span<const Answered> answered);
double word_match(std::span<const Answered> answered);

struct Measured {
  std::string name;
  double value = 0;
  // Of the middle 95% of `kResamples` bootstrap samples of the questions (Efron 1979); questions of
  // one group stay together.
  double low = 0;
  double high = 0;
};
inline constexpr int kResamples = 1000;

std::vector<Measured> measure(const ChoiceTask& task, std::span<const ChoiceOutcome> outcomes);
// The mean of the metrics that task.scored_by names.
double task_score(const ChoiceTask& task, std::span<const Measured> measured);

}  // namespace fathom
