// A temperature that belongs to the model itself (checkpoint/stored_temperature.h), not to what is
// drawn from it: its logits are divided by it before scores, penalties and the user's temperature.
#pragma once

#include "checkpoint/stored_temperature.h"
#include "models/model.h"

namespace fathom {

// All logits from the next forward() on; 1 without a bias: as the weights say, to the bit. Not
// during forward().
void set_logit_temperature(LanguageModel& model, const StoredTemperature& temperature);

}  // namespace fathom
