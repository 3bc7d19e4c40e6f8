#include "evaluate/captions.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <unordered_map>

namespace fathom {
namespace {

constexpr size_t kLongest = 4;  // of n-grams
constexpr double kSigma = 6;
constexpr double kBeta = 1.2;

using Words = std::vector<std::string>;
// Occurrences of each n-gram, its words joined by spaces.
using Counts = std::unordered_map<std::string, double>;

Counts count_ngrams(const Words& words, size_t n) {
  Counts counts;
  for (size_t i = 0; i + n <= words.size(); ++i) {
    std::string ngram = words[i];
    for (size_t k = 1; k < n; ++k) {
      ngram += ' ';
      ngram += words[i + k];
    }
    ++counts[ngram];
  }
  return counts;
}

struct Caption {
  explicit Caption(std::string_view text) : words(caption_words(text)) {
    for (size_t n = 0; n < kLongest; ++n) ngrams[n] = count_ngrams(words, n + 1);
  }
  Words words;
  std::array<Counts, kLongest> ngrams;
};

struct Image {
  Caption candidate;
  std::vector<Caption> references;
};

std::array<double, 4> bleu(const std::vector<Image>& images) {
  std::array<double, kLongest> matched{};
  std::array<double, kLongest> said{};
  double length = 0;
  double reference_length = 0;
  for (const Image& image : images) {
    const auto own = static_cast<double>(image.candidate.words.size());
    length += own;
    std::pair<double, double> closest{std::numeric_limits<double>::infinity(), 0};
    for (const Caption& reference : image.references) {
      const auto other = static_cast<double>(reference.words.size());
      closest = std::min(closest, {std::abs(other - own), other});
    }
    reference_length += closest.second;
    for (size_t n = 0; n < kLongest; ++n) {
      for (const auto& [ngram, count] : image.candidate.ngrams[n]) {
        double most = 0;
        for (const Caption& reference : image.references) {
          const auto found = reference.ngrams[n].find(ngram);
          if (found != reference.ngrams[n].end()) most = std::max(most, found->second);
        }
        matched[n] += std::min(most, count);
        said[n] += count;
      }
    }
  }
  std::array<double, 4> scores{};
  const double brevity = length >= reference_length ? 1 : std::exp(1 - reference_length / length);
  double logarithms = 0;
  for (size_t n = 0; n < kLongest; ++n) {
    if (matched[n] == 0) break;  // this one and all longer are 0
    logarithms += std::log(matched[n] / said[n]);
    scores[n] = brevity * std::exp(logarithms / static_cast<double>(n + 1));
  }
  return scores;
}

double longest_common(const Words& a, const Words& b) {
  std::vector<size_t> row(b.size() + 1, 0);
  for (const std::string& word : a) {
    size_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = word == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return static_cast<double>(row.back());
}

// Precision and recall are each the best over the references, as the COCO server counts.
double rouge_l(const Image& image) {
  double precision = 0;
  double recall = 0;
  for (const Caption& reference : image.references) {
    const double common = longest_common(reference.words, image.candidate.words);
    if (common == 0) continue;
    precision = std::max(precision, common / static_cast<double>(image.candidate.words.size()));
    recall = std::max(recall, common / static_cast<double>(reference.words.size()));
  }
  if (precision == 0) return 0;
  return (1 + kBeta * kBeta) * precision * recall / (recall + kBeta * kBeta * precision);
}

// n-grams weighted by how rare they are among the images.
struct Weighted {
  std::array<std::map<std::string, double>, kLongest> weights;
  std::array<double, kLongest> norms{};
  double length = 0;  // in bigrams
};

class Cider {
 public:
  explicit Cider(const std::vector<Image>& images)
      : log_images_(std::log(static_cast<double>(images.size()))) {
    for (const Image& image : images) {
      std::map<std::string, bool> seen;
      for (const Caption& reference : image.references) {
        for (const Counts& counts : reference.ngrams) {
          for (const auto& [ngram, count] : counts) seen[ngram] = true;
        }
      }
      for (const auto& [ngram, there] : seen) ++documents_[ngram];
    }
  }

  double score(const Image& image) const {
    const Weighted candidate = weigh(image.candidate);
    double sum = 0;
    for (const Caption& reference : image.references) {
      sum += similarity(candidate, weigh(reference));
    }
    return 10 * sum / static_cast<double>(image.references.size());
  }

 private:
  Weighted weigh(const Caption& caption) const {
    Weighted weighted;
    for (size_t n = 0; n < kLongest; ++n) {
      double squares = 0;
      for (const auto& [ngram, count] : caption.ngrams[n]) {
        const auto found = documents_.find(ngram);
        const double documents = found == documents_.end() ? 1 : found->second;
        const double weight = count * (log_images_ - std::log(documents));
        weighted.weights[n][ngram] = weight;
        squares += weight * weight;
        if (n == 1) weighted.length += count;
      }
      weighted.norms[n] = std::sqrt(squares);
    }
    return weighted;
  }

  static double similarity(const Weighted& candidate, const Weighted& reference) {
    const double difference = candidate.length - reference.length;
    const double penalty = std::exp(-difference * difference / (2 * kSigma * kSigma));
    double sum = 0;
    for (size_t n = 0; n < kLongest; ++n) {
      const double norms = candidate.norms[n] * reference.norms[n];
      if (norms == 0) continue;
      double product = 0;
      for (const auto& [ngram, weight] : candidate.weights[n]) {
        const auto found = reference.weights[n].find(ngram);
        if (found == reference.weights[n].end()) continue;
        product += std::min(weight, found->second) * found->second;
      }
      sum += product / norms * penalty;
    }
    return sum / kLongest;
  }

  double log_images_;
  std::unordered_map<std::string, double> documents_;
};

}  // namespace

std::vector<std::string> caption_words(std::string_view caption) {
  constexpr std::string_view kBetween = " \t\r\n.,;:!?\"`()[]{}";
  constexpr std::string_view kAtEnds = "'-";
  std::vector<std::string> words;
  size_t at = 0;
  while ((at = caption.find_first_not_of(kBetween, at)) != std::string_view::npos) {
    const size_t end = std::min(caption.find_first_of(kBetween, at), caption.size());
    std::string_view word = caption.substr(at, end - at);
    at = end;
    while (!word.empty() && kAtEnds.contains(word.front())) word.remove_prefix(1);
    while (!word.empty() && kAtEnds.contains(word.back())) word.remove_suffix(1);
    if (word.empty()) continue;
    std::string lower(word);
    for (char& c : lower) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    words.push_back(std::move(lower));
  }
  return words;
}

CaptionScores score_captions(std::span<const CaptionedImage> images) {
  CaptionScores scores{.images = std::ssize(images)};
  if (images.empty()) return scores;
  std::vector<Image> counted;
  counted.reserve(images.size());
  for (const CaptionedImage& image : images) {
    Image one{.candidate = Caption(image.candidate), .references = {}};
    one.references.reserve(image.references.size());
    for (const std::string& reference : image.references) one.references.emplace_back(reference);
    counted.push_back(std::move(one));
  }
  scores.bleu = bleu(counted);
  const Cider cider(counted);
  for (const Image& image : counted) {
    scores.cider += cider.score(image);
    scores.rouge_l += rouge_l(image);
  }
  scores.cider /= static_cast<double>(images.size());
  scores.rouge_l /= static_cast<double>(images.size());
  return scores;
}

}  // namespace fathom
