// What tokens cost, by model: a table in US dollars per million tokens, as JSON:
//
//   {"my-model": {"input": 0.28, "cached_input": 0.028, "output": 0.42}, "*": {...}}
//
// "*" stands for models that are not named; cached_input (of the prompt, found in the prefix cache)
// is input where it is left out. Constant once read: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fathom::serve {

class Prices {
 public:
  // file: what errors call it.
  static Result<Prices> parse(std::string_view json, std::string_view file);

  // In US dollars; 0 for a model that has no price. cached_tokens are a part of prompt_tokens.
  double cost(const std::string& model, int64_t prompt_tokens, int64_t cached_tokens,
              int64_t completion_tokens) const;

 private:
  struct Price {  // of a million tokens
    double input = 0;
    double cached_input = 0;
    double output = 0;
  };
  std::map<std::string, Price> models_;
};

}  // namespace fathom::serve
