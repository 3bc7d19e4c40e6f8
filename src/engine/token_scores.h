// What the model itself thinks of a token: its log-probability under plain softmax, whatever the
// sampling options, and the most likely tokens at its place.
#pragma once

#include <cstdint>
#include <span>

#include "engine/request.h"

namespace fathom {

// logits: [vocab]. Equal alternatives rank by token id.
ScoredToken score_token(std::span<const float> logits, int32_t token, int32_t alternatives);

// The entropy of the softmax of logits, in nats.
float entropy_of(std::span<const float> logits);

}  // namespace fathom
