#include "route/policy.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/quote.h"

namespace fathom::route {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMostTokens = 4096;
constexpr const char* kFirstTokens = "first_tokens";
constexpr const char* kWholeAnswer = "whole_answer";

// Members of an object, each read once; what was not read is an error.
class Members {
 public:
  static Result<Members> of(const Json& json, std::string_view what) {
    if (!json.is_object()) return fail("{} must be a JSON object.", what);
    return Members(json, what);
  }

  Status read(const char* name, double& value, double low, double high) {
    const Json* found = take(name);
    if (found == nullptr) return {};
    // Written so that NaN fails, which JSON has no word for but numbers too large become infinite.
    if (!found->is_number() || !(found->get<double>() >= low && found->get<double>() <= high)) {
      return fail("{}: {} must be a number from {} to {}.", what_, name, low, high);
    }
    value = found->get<double>();
    return {};
  }
  Status read(const char* name, int64_t& value, int64_t low, int64_t high) {
    const Json* found = take(name);
    if (found == nullptr) return {};
    if (!found->is_number_integer() || found->get<int64_t>() < low ||
        found->get<int64_t>() > high) {
      return fail("{}: {} must be a whole number from {} to {}.", what_, name, low, high);
    }
    value = found->get<int64_t>();
    return {};
  }
  Status read(const char* name, std::string& value) {
    const Json* found = take(name);
    if (found == nullptr) return {};
    if (!found->is_string() || found->get_ref<const std::string&>().empty()) {
      return fail("{}: {} must be a text that is not empty.", what_, name);
    }
    value = found->get<std::string>();
    return {};
  }
  Status read(const char* name, bool& value) {
    const Json* found = take(name);
    if (found == nullptr) return {};
    if (!found->is_boolean()) return fail("{}: {} must be true or false.", what_, name);
    value = found->get<bool>();
    return {};
  }
  Status read(const char* name, std::vector<std::string>& values) {
    const Json* found = take(name);
    if (found == nullptr) return {};
    const bool texts = found->is_array() &&
                       std::ranges::all_of(*found, [](const Json& v) { return v.is_string(); });
    if (!texts) return fail("{}: {} must be an array of texts.", what_, name);
    values = found->get<std::vector<std::string>>();
    return {};
  }
  const Json* take(const char* name) {
    seen_.emplace_back(name);
    const auto found = json_.find(name);
    return found == json_.end() || found->is_null() ? nullptr : &*found;
  }
  Status unknown() const {
    for (const auto& [name, value] : json_.items()) {
      if (std::ranges::find(seen_, name) == seen_.end()) {
        return fail("{}: there is no member {}.", what_, in_quotes(name));
      }
    }
    return {};
  }

 private:
  Members(const Json& json, std::string_view what) : json_(json), what_(what) {}

  const Json& json_;
  std::string what_;
  std::vector<std::string> seen_;
};

Result<Logistic> parse_logistic(const Json& json, std::string_view file) {
  constexpr double kMost = 1e6;
  FATHOM_TRY(Members members, Members::of(json, fmt::format("{}: confidence", file)));
  Logistic logistic;
  FATHOM_CHECK(members.read("bias", logistic.bias, -kMost, kMost));
  FATHOM_CHECK(members.read("mean_logprob", logistic.mean_logprob, -kMost, kMost));
  FATHOM_CHECK(members.read("mean_entropy", logistic.mean_entropy, -kMost, kMost));
  FATHOM_CHECK(members.unknown());
  return logistic;
}

Result<Rules> parse_rules(const Json& json, std::string_view file) {
  FATHOM_TRY(Members members, Members::of(json, fmt::format("{}: rules", file)));
  Rules rules;
  FATHOM_CHECK(members.read("prompt_tokens", rules.prompt_tokens, 0, int64_t{1} << 40));
  FATHOM_CHECK(members.read("tools", rules.tools));
  FATHOM_CHECK(members.read("classes", rules.classes));
  FATHOM_CHECK(members.unknown());
  return rules;
}

}  // namespace

double Logistic::probability(const Evidence& evidence) const {
  const double x =
      bias + mean_logprob * evidence.mean_logprob + mean_entropy * evidence.mean_entropy;
  return 1 / (1 + std::exp(-x));
}

Result<Policy> parse_policy(std::string_view json, std::string_view file) {
  FATHOM_TRY(const Json document, parse_json(json, file));
  FATHOM_TRY(Members members, Members::of(document, file));
  Policy policy;
  FATHOM_CHECK(members.read("lite", policy.lite));
  FATHOM_CHECK(members.read("v1", policy.v1));
  std::string judge = kFirstTokens;
  FATHOM_CHECK(members.read("judge", judge));
  if (judge != kFirstTokens && judge != kWholeAnswer) {
    return fail("{}: judge is {}; it must be {} or {}.", file, in_quotes(judge), kFirstTokens,
                kWholeAnswer);
  }
  policy.judge = judge == kFirstTokens ? Judge::kFirstTokens : Judge::kWholeAnswer;
  FATHOM_CHECK(members.read("tokens", policy.tokens, 1, kMostTokens));
  FATHOM_CHECK(members.read("threshold", policy.threshold, 0.0, 1.0));
  if (const Json* confidence = members.take("confidence"); confidence != nullptr) {
    FATHOM_TRY(policy.confidence, parse_logistic(*confidence, file));
  }
  if (const Json* rules = members.take("rules"); rules != nullptr) {
    FATHOM_TRY(policy.rules, parse_rules(*rules, file));
  }
  FATHOM_CHECK(members.unknown());
  if (policy.lite == policy.v1) {
    return fail("{}: lite and v1 are both {}; they must be two models.", file,
                in_quotes(policy.lite));
  }
  return policy;
}

std::string to_json(const Policy& policy) {
  nlohmann::ordered_json json = {
      {"lite", policy.lite},
      {"v1", policy.v1},
      {"judge", policy.judge == Judge::kFirstTokens ? kFirstTokens : kWholeAnswer},
      {"tokens", policy.tokens}};
  if (policy.confidence) {
    json["confidence"] = {{"bias", policy.confidence->bias},
                          {"mean_logprob", policy.confidence->mean_logprob},
                          {"mean_entropy", policy.confidence->mean_entropy}};
  }
  json["threshold"] = policy.threshold;
  json["rules"] = {{"prompt_tokens", policy.rules.prompt_tokens},
                   {"tools", policy.rules.tools},
                   {"classes", policy.rules.classes}};
  return json.dump(2) + "\n";
}

std::string rule_for(const Rules& rules, const Question& question) {
  if (std::ranges::find(rules.classes, question.request_class) != rules.classes.end()) {
    return "class";
  }
  if (rules.tools && question.tools) return "tools";
  if (rules.prompt_tokens > 0 && question.prompt_tokens >= rules.prompt_tokens) return "length";
  return {};
}

double confidence_in(const Policy& policy, const Evidence& evidence) {
  if (evidence.tokens == 0) return 0;
  if (policy.confidence) return policy.confidence->probability(evidence);
  return std::exp(evidence.mean_logprob);
}

}  // namespace fathom::route
