// Comparing short answers as SQuAD's evaluation does (Rajpurkar et al. 2016): in lower case,
// without punctuation and the English articles.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fathom {

std::vector<std::string> answer_words(std::string_view text);

// The harmonic mean of precision and recall of the given words; 1 for two empty answers.
double answer_f1(std::string_view given, std::string_view right);

}  // namespace fathom
