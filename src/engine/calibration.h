// Whether a model answers with the temperature that its checkpoint was calibrated with
// (checkpoint/stored_temperature.h). It does as loaded.
#pragma once

#include "fathom/fathom.h"

namespace fathom {

// From now on the model's logits are those of its weights alone. Holds for all copies of the
// handle; any thread, but answers that are under way change where they are.
void forget_calibration(const Model& model);

}  // namespace fathom
