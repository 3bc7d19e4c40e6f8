#include "text/answer_words.h"

#include <cctype>
#include <map>

namespace fathom {

// Bytes above ASCII are letters.
std::vector<std::string> answer_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto flush = [&] {
    if (!word.empty() && word != "a" && word != "an" && word != "the") words.push_back(word);
    word.clear();
  };
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && std::isspace(byte) != 0) {
      flush();
    } else if (byte >= 0x80 || std::isalnum(byte) != 0) {
      word += byte < 0x80 ? static_cast<char>(std::tolower(byte)) : c;
    }
  }
  flush();
  return words;
}

double answer_f1(std::string_view given, std::string_view right) {
  const auto given_words = answer_words(given);
  const auto right_words = answer_words(right);
  if (given_words.empty() || right_words.empty()) {
    return given_words.empty() && right_words.empty() ? 1 : 0;
  }
  std::map<std::string, int> left;
  for (const std::string& word : right_words) ++left[word];
  double common = 0;
  for (const std::string& word : given_words) {
    if (left[word]-- > 0) ++common;
  }
  if (common == 0) return 0;
  const double precision = common / static_cast<double>(given_words.size());
  const double recall = common / static_cast<double>(right_words.size());
  return 2 * precision * recall / (precision + recall);
}

}  // namespace fathom
