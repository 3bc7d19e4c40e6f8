// A policy with the served models that it chooses between. Constant; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "route/policy.h"
#include "serve/served_model.h"

namespace fathom::serve {

// The model name that a client sends to let the policy choose.
inline constexpr const char* kRoutedModel = "auto";

struct Routing {
  route::Policy policy;
  std::shared_ptr<const ServedModel> lite;
  std::shared_ptr<const ServedModel> v1;

  // Fails where the policy names a model that is not served.
  static Result<Routing> make(const route::Policy& policy,
                              const std::vector<std::shared_ptr<const ServedModel>>& models);
};

// How a request came to its model, for the response's headers and the ledger.
struct RouteTaken {
  std::string reason;       // empty: it was not routed; else as in LedgerEntry::route
  std::string explanation;  // x-fathom-route
};
RouteTaken by_rule(const std::string& rule);
RouteTaken by_confidence(const route::Policy& policy, double confidence);
RouteTaken refused_by_lite();

}  // namespace fathom::serve
