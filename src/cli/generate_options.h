// The flags of run and chat: how to answer and how to show it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/model_options.h"
#include "fathom/fathom.h"

namespace fathom::cli {

struct GenerateFlags {
  ModelOptions model;

  // Flags left out follow the model's own advice (Model::recommended_sampling).
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repeat_penalty;
  std::optional<float> presence_penalty;
  std::optional<float> frequency_penalty;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  std::optional<int64_t> max_tokens;
  std::string speculate =
      "off";  // or "lookup", "mtp", or a draft model as ModelOptions::model names one
  std::optional<int64_t> draft_tokens;

  std::string system;
  bool raw = false;
  bool hide_thinking = false;
  bool json = false;
  bool stats = false;
};

void add_generate_options(CLI::App& command, GenerateFlags& flags);

// Fails (kUsage) where flags make no sense, before anything is loaded.
Status validate(const GenerateFlags& flags);

// What to ask of the engine. The seed is always set, so that it can be reported.
GenerateOptions generate_options(const GenerateFlags& flags, const SamplingOptions& recommended);

// What load_model() needs: flags.model, with what --speculate wants of it.
ModelOptions model_options(const GenerateFlags& flags);

// What --speculate asks for; loads the draft model where it names one.
Result<Speculation> speculation(const GenerateFlags& flags);

}  // namespace fathom::cli
