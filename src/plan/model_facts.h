// What the planner knows of a model: its configuration and every tensor's size at some precision,
// counted from a real checkpoint or made from a config.json alone. No weights are read. Immutable,
// cheap to copy; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/model_config.h"
#include "layers/cache.h"
#include "models/step_cost.h"

namespace fathom::plan {

// Bytes and elements of a part of a model, all layers together.
struct Part {
  double bytes = 0;             // packed, as a step reads them
  double int8_elements = 0;     // of quantised matrices
  double minimum_elements = 0;  // of these, where each block has a minimum or a zero point
  double float_elements = 0;    // of plain ones
};

struct ModelFacts {
  std::string name;           // as -m spells it: a catalogue name, or the path
  std::string title;          // "DeepSeek-V2-Lite"
  std::string identity = {};  // of a checkpoint on disk, as its evaluations are kept under
  std::string tier;           // "V1", "Lite", "Pro", "Nano"
  std::string precision;      // "q4_0", "q8_0", "bf16", "fp8", or "as stored"
  std::string released;       // "2024-05", empty: unknown
  std::string licence;
  std::string repository = {};          // on a hub, of the catalogue
  std::string published = {};           // the precision that is there: "bf16", "fp8"
  std::string source;                   // where the figures come from
  std::vector<std::string> modalities;  // "text", "image"
  ModelConfig config;
  int64_t parameters = 0;
  int64_t active_parameters = 0;  // that one token's step multiplies with
  int64_t file_bytes = 0;         // on disk, at this precision
  int64_t weight_bytes = 0;       // in memory, packed
  double extra_bytes = 0;  // in memory, but not read by a step of text: image and speech encoders
  Part dense;    // every row needs them: attention, dense and shared feed-forward, routers
  Part experts;  // all routed experts
  Part head;
  double embedding_row_bytes = 0;
  bool on_disk = false;    // `name` is a checkpoint, or what the cache of models finds
  bool runs_here = false;  // this program can run the family today

  // Of one token in the cache, all layers.
  int64_t cache_bytes_per_token(CacheType type) const;
  // Of all routed experts that a token is computed by; 0 for dense models.
  int64_t experts_per_token() const { return config.is_moe() ? config.moe.experts_per_token : 0; }
  int64_t sparse_layers() const;
  WeightReads weight_reads() const;
};

// A checkpoint on disk, or a folder or file with only a config.json; as stored, or at another
// precision.
Result<ModelFacts> facts_of(const Checkpoint& checkpoint);
Result<ModelFacts> facts_of_config(std::string_view config_json, std::string_view name,
                                   std::string_view precision);
// The catalogue (model_catalogue.cpp): names, and one of them at a precision. Unknown names and
// precisions fail (kUsage) with the nearest.
const std::vector<std::string>& catalogue_models();
Result<ModelFacts> catalogue_facts(std::string_view name, std::string_view precision);
// q4_0, q8_0, bf16 and fp8. A model of the catalogue has FP8 only if it was published in it.
const std::vector<std::string>& precisions();
bool is_precision(std::string_view name);
std::vector<std::string> precisions_of(std::string_view catalogue_name);

}  // namespace fathom::plan
