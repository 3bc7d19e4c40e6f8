// Two models on the same questions, question by question: far surer than comparing two averages.
#pragma once

#include <cstdint>
#include <span>

namespace fathom {

struct Comparison {
  int64_t questions = 0;
  double a = 0;  // shares answered right
  double b = 0;
  double difference = 0;  // b - a
  double low = 0;         // of the middle 95% of bootstrap samples of the questions
  double high = 0;
  int64_t only_a = 0;  // answered right by one alone
  int64_t only_b = 0;
  double p_value = 1;  // McNemar's exact test, two-sided: only_a and only_b of one fair coin
};

// Whether each question was answered right (not 0); both of one size.
Comparison compare(std::span<const char> a, std::span<const char> b);

}  // namespace fathom
