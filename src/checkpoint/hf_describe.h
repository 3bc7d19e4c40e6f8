// config.json and generation_config.json of a Hugging Face directory that is made of a GGUF file:
// what hf_config.h and hf_text.h read, written. Members are those of transformers' configurations.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "checkpoint/checkpoint.h"

namespace fathom {

// stored: the type of what is not quantised, which transformers computes in ("float16"). Fails for
// what config.json cannot say: divisors of rope frequencies that are not Llama 3's, and biases that
// the family's modelling code does not have.
Result<std::string> hf_config_json(const Checkpoint& checkpoint, std::string_view stored);

// Empty where the makers advise nothing and name no token that ends an answer.
std::string hf_generation_json(const GenerationDefaults& generation);

}  // namespace fathom
