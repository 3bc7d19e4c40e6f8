// How the next token is drawn from the model's logits.
//
// The order is llama.cpp's and transformers' common part: biases, penalties, temperature, top-k,
// top-p, min-p, then one draw. temperature 0 takes the most likely token after penalties and
// ignores the rest. Equal seeds and equal logits give equal tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace fathom {

struct LogitBias {
  int32_t token = 0;
  float bias = 0;
};

struct SamplingOptions {
  float temperature = 0.8F;
  int32_t top_k = 40;   // 0: off
  float top_p = 0.95F;  // 1: off
  float min_p = 0.05F;  // 0: off; tokens less likely than min_p times the best one are dropped
  float repeat_penalty = 1.0F;     // 1: off; divides positive logits of tokens seen (CTRL, 2019)
  float presence_penalty = 0.0F;   // subtracted once from tokens in the answer
  float frequency_penalty = 0.0F;  // subtracted for each time a token is in the answer
  int32_t penalty_window = 64;     // repeat_penalty looks at this many last tokens; -1: all
  std::optional<uint64_t> seed;    // none: a new one for each answer
  std::vector<LogitBias> logit_bias = {};  // added to the logits of these tokens, before all else
};

}  // namespace fathom
