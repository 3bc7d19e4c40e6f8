#include "checkpoint/hf_rope.h"

#include <cmath>
#include <string>

#include "base/quote.h"

namespace fathom {

namespace {

double yarn_mscale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

Status read_yarn(const JsonFields& scaling, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  if (scaling.find("factor") == nullptr && rope.original_context > 0) {
    rope.factor = static_cast<float>(config.context) / static_cast<float>(rope.original_context);
  }
  FATHOM_TRY(rope.beta_fast, scaling.float_or("beta_fast", 32.0));
  FATHOM_TRY(rope.beta_slow, scaling.float_or("beta_slow", 1.0));
  FATHOM_TRY(const bool truncate, scaling.bool_or("truncate", true));
  if (!truncate) {
    return fail("{}: YaRN without truncation (truncate: false) is not supported", scaling.file());
  }
  FATHOM_TRY(const auto explicit_factor, scaling.get_float("attention_factor"));
  FATHOM_TRY(const auto mscale, scaling.get_float("mscale"));
  FATHOM_TRY(const auto mscale_all_dim, scaling.get_float("mscale_all_dim"));
  const double factor = rope.factor;
  if (explicit_factor) {
    rope.attention_factor = static_cast<float>(*explicit_factor);
  } else if (config.is_mla() || (mscale.value_or(0) != 0 && mscale_all_dim.value_or(0) != 0)) {
    rope.attention_factor = static_cast<float>(yarn_mscale(factor, mscale.value_or(1.0)) /
                                               yarn_mscale(factor, mscale_all_dim.value_or(0.0)));
  } else {
    rope.attention_factor = static_cast<float>(yarn_mscale(factor, 1.0));
  }
  if (config.is_mla()) {
    rope.softmax_mscale = static_cast<float>(yarn_mscale(factor, mscale_all_dim.value_or(0.0)));
  }
  return {};
}

Result<std::string> scaling_type(const JsonFields& scaling) {
  FATHOM_TRY(const auto newer, scaling.get_string("rope_type"));
  if (newer) return *newer;
  FATHOM_TRY(const auto older, scaling.get_string("type"));
  return older.value_or("default");
}

}  // namespace

Status read_hf_rope(const JsonFields& fields, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  FATHOM_TRY(rope.theta, fields.float_or("rope_theta", 10000.0));
  FATHOM_TRY(const float rotated, fields.float_or("partial_rotary_factor", 1.0));
  const nlohmann::json* stored = fields.find("rope_scaling");
  if (stored == nullptr) stored = fields.find("rope_parameters");
  if (stored != nullptr && !stored->is_object()) {
    return fail("{}: rope_scaling should be an object", fields.file());
  }
  static const nlohmann::json kNothing = nlohmann::json::object();
  const JsonFields scaling(stored != nullptr ? *stored : kNothing, fields.file());
  FATHOM_TRY(rope.theta, scaling.float_or("rope_theta", rope.theta));
  FATHOM_TRY(const float rotated_inside, scaling.float_or("partial_rotary_factor", rotated));
  if (rotated_inside != 1.0F) {
    return fail("{}: rotating only a part of each head (partial_rotary_factor {}) is not supported",
                fields.file(), rotated_inside);
  }
  FATHOM_TRY(const std::string type, scaling_type(scaling));
  // "dynamic" changes nothing up to max_position_embeddings, which is where we stop.
  if (type == "default" || type == "dynamic") return {};

  FATHOM_TRY(const int64_t inside,
             scaling.int_or("original_max_position_embeddings", config.context));
  FATHOM_TRY(rope.original_context, fields.int_or("original_max_position_embeddings", inside));
  FATHOM_TRY(rope.factor, scaling.float_or("factor", 1.0));
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
  } else if (type == "llama3") {
    rope.scaling = RopeScaling::kLlama3;
    FATHOM_TRY(rope.low_freq_factor, scaling.float_or("low_freq_factor", 1.0));
    FATHOM_TRY(rope.high_freq_factor, scaling.float_or("high_freq_factor", 4.0));
  } else if (type == "yarn") {
    rope.scaling = RopeScaling::kYarn;
    return read_yarn(scaling, config);
  } else {
    return fail(
        "{}: the rope scaling {} is not supported; supported are linear, llama3, yarn and "
        "dynamic",
        fields.file(), in_quotes(type));
  }
  return {};
}

}  // namespace fathom
