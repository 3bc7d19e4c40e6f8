#include "base/nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace fathom {

size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({replaced, row[j] + 1, row[j + 1] + 1}));
    }
  }
  return row.back();
}

std::vector<std::string> nearest_names(std::string_view wanted, std::vector<std::string> names,
                                       size_t count) {
  std::vector<std::pair<size_t, std::string>> order;
  order.reserve(names.size());
  for (std::string& name : names) {
    const size_t edits = edits_between(wanted, name);
    order.emplace_back(edits, std::move(name));
  }
  std::ranges::sort(order);
  std::vector<std::string> nearest;
  nearest.reserve(std::min(count, order.size()));
  for (size_t i = 0; i < std::min(count, order.size()); ++i) {
    nearest.push_back(std::move(order[i].second));
  }
  return nearest;
}

}  // namespace fathom
