// How close captions are to those that people wrote: BLEU-1 to BLEU-4 of the whole (Papineni et al.
// 2002; n-gram counts clipped by the reference that has most, the length of the closest), CIDEr
// (Vedantam et al. 2015; the variant CIDEr-D with sigma 6, as the COCO server has it: document
// frequencies of the references given, n-grams of 1 to 4, times 10) and ROUGE-L (Lin 2004, beta
// 1.2). No METEOR, which needs word nets.
//
// Words are lower case; punctuation between them is left out, hyphens and apostrophes within them
// stay. The COCO tools' Penn Treebank tokeniser also cuts "dog's" in two.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fathom {

struct CaptionedImage {
  std::string id;
  std::vector<std::string> references;  // at least one
  std::string candidate;
};

struct CaptionScores {
  std::array<double, 4> bleu{};  // [0]: BLEU-1; 0 to 1
  double cider = 0;              // 0 to 10
  double rouge_l = 0;            // 0 to 1
  int64_t images = 0;
};

std::vector<std::string> caption_words(std::string_view caption);
CaptionScores score_captions(std::span<const CaptionedImage> images);

}  // namespace fathom
