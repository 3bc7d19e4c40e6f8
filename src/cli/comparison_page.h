// Two models on the same questions as a picture, and as a page that needs nothing else: how much
// better or worse B is on each task, with the interval that holds 95% of bootstrap samples.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "evaluate/comparison.h"

namespace fathom::cli {

struct ComparisonPage {
  std::string a;  // names of the models
  std::string b;
  std::vector<std::pair<std::string, Comparison>> rows;  // by task
};

std::string draw_svg(const ComparisonPage& page);
std::string draw_html(const ComparisonPage& page);

}  // namespace fathom::cli
