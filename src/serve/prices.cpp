#include "serve/prices.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/quote.h"

namespace fathom::serve {
namespace {

constexpr double kTokens = 1e6;  // that a price is for

}  // namespace

Result<Prices> Prices::parse(std::string_view json, std::string_view file) {
  FATHOM_TRY(const nlohmann::json table, parse_json(json, file));
  if (!table.is_object() || table.empty()) {
    return fail("{} holds no prices: it must be an object with a price for each model.", file);
  }
  Prices prices;
  for (const auto& [model, entry] : table.items()) {
    if (!entry.is_object()) {
      return fail("{}: the price of {} is not an object.", file, in_quotes(model));
    }
    for (const char* needed : {"input", "output"}) {
      if (!entry.contains(needed)) {
        return fail("{}: the price of {} has no {}.", file, in_quotes(model), in_quotes(needed));
      }
    }
    Price price;
    for (const auto& [field, value] : entry.items()) {
      double* const place = field == "input"          ? &price.input
                            : field == "cached_input" ? &price.cached_input
                            : field == "output"       ? &price.output
                                                      : nullptr;
      if (place == nullptr) {
        return fail("{}: the price of {} has a field {}; it has input, cached_input and output.",
                    file, in_quotes(model), in_quotes(field));
      }
      const double dollars = value.is_number() ? value.get<double>() : -1;
      if (!(dollars >= 0) || !std::isfinite(dollars)) {
        return fail("{}: {} of {} must be US dollars per million tokens, 0 or more.", file,
                    in_quotes(field), in_quotes(model));
      }
      *place = dollars;
    }
    if (!entry.contains("cached_input")) price.cached_input = price.input;
    prices.models_.emplace(model, price);
  }
  return prices;
}

double Prices::cost(const std::string& model, int64_t prompt_tokens, int64_t cached_tokens,
                    int64_t completion_tokens) const {
  auto found = models_.find(model);
  if (found == models_.end()) found = models_.find("*");
  if (found == models_.end()) return 0;
  const Price& price = found->second;
  return (price.input * static_cast<double>(prompt_tokens - cached_tokens) +
          price.cached_input * static_cast<double>(cached_tokens) +
          price.output * static_cast<double>(completion_tokens)) /
         kTokens;
}

}  // namespace fathom::serve
