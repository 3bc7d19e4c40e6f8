#include "plan/step_costs.h"

#include <algorithm>
#include <limits>

#include "models/step_cost.h"

namespace fathom::plan {

UnitCounter::UnitCounter(const ModelFacts& model, CacheType cache)
    : dense_(model.dense),
      experts_(model.experts),
      head_(model.head),
      latent_(model.config.is_mla()),
      layers_(static_cast<double>(model.config.layers)),
      sparse_layers_(static_cast<double>(model.sparse_layers())),
      hidden_(static_cast<double>(model.config.hidden_size)),
      experts_count_(static_cast<double>(model.config.moe.experts)),
      per_token_(static_cast<double>(model.experts_per_token())),
      cache_bytes_(static_cast<double>(model.cache_bytes_per_token(cache))) {
  const ModelConfig& config = model.config;
  const int64_t widths = config.is_mla() ? 2 * config.mla.kv_lora_rank + config.mla.rope_head_dim
                                         : 2 * config.head_dim;
  pair_width_ = static_cast<double>(config.layers * config.heads * widths);
}

// `share` of the part is read, and each matrix of that has so many rows.
void UnitCounter::add(const Part& part, double share, double rows, Count& count) {
  UnitCounts& units = count.units;
  count.weight_bytes += share * part.bytes;
  units[Unit::kWeightByte] += share * part.bytes;
  const double codes = share * part.int8_elements;
  units[Unit::kCode] += codes;
  for (size_t i = 0; i < kRowKnots.size(); ++i) {
    const double end =
        i + 1 < kRowKnots.size() ? kRowKnots[i + 1] : std::numeric_limits<double>::infinity();
    units[Unit::kCodeRow + i] += codes * std::max(0.0, std::min(rows, end) - kRowKnots[i]);
  }
  units[Unit::kMinimumRow] += share * part.minimum_elements * rows;
  const double floats = share * part.float_elements;
  units[Unit::kFloat] += floats;
  units[Unit::kFloatRow] += floats * std::max(0.0, rows - 1);
  count.code_ops += 2 * rows * codes;
  count.float_ops += 2 * rows * floats;
}

UnitCounter::Count UnitCounter::count(const StepWork& work) const {
  Count count;
  UnitCounts& units = count.units;
  const double rows = work.decode_rows + work.prompt_rows;
  if (rows <= 0) return count;
  units[Unit::kStep] = 1;
  units[Unit::kLayer] = layers_;
  units[Unit::kRowWidth] = rows * layers_ * hidden_;
  units[Unit::kRowLayer] = rows * layers_;
  add(dense_, 1, rows, count);
  if (work.logits > 0) add(head_, 1, work.logits, count);
  if (experts_count_ > 0) {
    const double distinct = expected_distinct_experts(experts_count_, per_token_, rows);
    const Count before = count;
    add(experts_, distinct / experts_count_, rows * per_token_ / distinct, count);
    count.expert_bytes = count.weight_bytes - before.weight_bytes;
    count.expert_code_ops = count.code_ops - before.code_ops;
    count.expert_float_ops = count.float_ops - before.float_ops;
    units[Unit::kExpert] = distinct * sparse_layers_;
    units[Unit::kExpertRow] = rows * per_token_ * sparse_layers_ * hidden_;
  }
  const double decode_pairs = work.decode_rows * (work.decode_context + 1);
  const double each = work.prompt_rows / std::max(work.prompts, 1.0);
  const double prompt_pairs = work.prompt_rows * (work.prompt_context + each / 2);
  units[latent_ ? Unit::kLatentDecodePair : Unit::kDecodePair] = decode_pairs * pair_width_;
  units[latent_ ? Unit::kLatentPromptPair : Unit::kPromptPair] = prompt_pairs * pair_width_;
  count.attention_ops = 2 * (decode_pairs + prompt_pairs) * pair_width_;
  count.cache_bytes =
      cache_bytes_ *
      (decode_pairs + (work.prompt_rows > 0 ? work.prompts * (work.prompt_context + each) : 0.0));
  units[Unit::kCacheByte] = count.cache_bytes;
  return count;
}

StepCosts likely_costs(const Ceilings& ceilings) {
  const auto per = [](double share, double per_second, double otherwise) {
    return 1 / (share * (per_second > 0 ? per_second : otherwise));
  };
  // Where a ceiling is unknown (only the reference kernels run), what a slow core does.
  const double byte = per(0.8, ceilings.read_bytes_per_second, 5e9);
  const double code = 2 * per(0.5, ceilings.int8_ops_per_second, 1e9);
  const double real = 2 * per(0.5, ceilings.float_ops_per_second, 1e9);
  StepCosts costs;
  costs.seconds[Unit::kStep] = 20e-6;
  costs.seconds[Unit::kLayer] = 20e-6;
  costs.seconds[Unit::kRowLayer] = 1e-6;
  costs.seconds[Unit::kRowWidth] = 4 * real;
  costs.seconds[Unit::kWeightByte] = byte;
  costs.seconds[Unit::kCode] = code / 10;
  for (size_t i = 0; i < kRowKnots.size(); ++i) costs.seconds[Unit::kCodeRow + i] = code;
  costs.seconds[Unit::kMinimumRow] = code / 4;
  costs.seconds[Unit::kFloat] = real / 10;
  costs.seconds[Unit::kFloatRow] = real;
  costs.seconds[Unit::kExpert] = 2e-6;
  costs.seconds[Unit::kExpertRow] = 4 * real;
  costs.seconds[Unit::kDecodePair] = real;
  costs.seconds[Unit::kPromptPair] = real;
  costs.seconds[Unit::kLatentDecodePair] = real;
  costs.seconds[Unit::kLatentPromptPair] = real;
  costs.seconds[Unit::kCacheByte] = byte;
  costs.serve_step_seconds = 50e-6;
  costs.serve_logit_seconds = 2e-9;
  costs.program_bytes = 60e6;
  return costs;
}

double StepCosts::seconds_of(const UnitCounts& units) const {
  double sum = 0;
  for (size_t i = 0; i < units.size(); ++i) sum += units[i] * seconds[i];
  return sum;
}

}  // namespace fathom::plan
