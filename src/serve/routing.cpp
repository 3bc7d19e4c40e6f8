#include "serve/routing.h"

#include "base/quote.h"
#include "serve/ledger.h"

namespace fathom::serve {

Result<Routing> Routing::make(const route::Policy& policy,
                              const std::vector<std::shared_ptr<const ServedModel>>& models) {
  Routing routing{.policy = policy, .lite = {}, .v1 = {}};
  for (const auto& model : models) {
    if (model->name == kRoutedModel) {
      return usage_error("With a route, no model can have the name {}.", in_quotes(kRoutedModel));
    }
    if (model->name == policy.lite) routing.lite = model;
    if (model->name == policy.v1) routing.v1 = model;
  }
  const bool has_lite = routing.lite != nullptr;
  if (has_lite && routing.v1 != nullptr) return routing;
  return usage_error(
      "The route goes between the models {} and {}, and {} is not served. Give it with -m "
      "NAME=MODEL.",
      in_quotes(policy.lite), in_quotes(policy.v1), in_quotes(has_lite ? policy.v1 : policy.lite));
}

RouteTaken by_rule(const std::string& rule) {
  return {.reason = rule, .explanation = "v1; rule=" + rule};
}

RouteTaken by_confidence(const route::Policy& policy, double confidence) {
  const bool stays = confidence >= policy.threshold;
  return {.reason = stays ? "lite" : "confidence",
          .explanation = fmt::format("{}; confidence={:.3f}; threshold={:.3f}",
                                     stays ? "lite" : "v1", confidence, policy.threshold)};
}

RouteTaken refused_by_lite() {
  return {.reason = "refused", .explanation = "v1; lite could not take it"};
}

}  // namespace fathom::serve
