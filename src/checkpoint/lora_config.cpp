#include "checkpoint/lora_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/quote.h"
#include "checkpoint/hf_text.h"

namespace fathom {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostConfig = 4U << 20;
constexpr int64_t kMostRank = 65536;
constexpr double kMostAlpha = 1e9;

// PEFT's match, for patterns without the rest of its regular expressions.
bool fits(std::string_view pattern, std::string_view module) {
  if (pattern.starts_with('^')) return pattern.substr(1) == module;
  if (!module.ends_with(pattern)) return false;
  return module.size() == pattern.size() || module[module.size() - pattern.size() - 1] == '.';
}

template <class Value>
Value value_of(const std::vector<std::pair<std::string, Value>>& patterns, std::string_view module,
               Value otherwise) {
  const auto found =
      std::ranges::find_if(patterns, [&](const auto& entry) { return fits(entry.first, module); });
  return found == patterns.end() ? otherwise : found->second;
}

bool is_set(const Json& value) {
  if (value.is_null()) return false;
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  if (value.is_array() || value.is_object()) return !value.empty();
  return true;
}

// What changes the model in ways that A and B do not tell.
struct Unsupported {
  std::string_view field;
  std::string_view what;
};
constexpr std::array<Unsupported, 15> kUnsupported{{
    {"use_dora", "DoRA"},
    {"use_qalora", "QALoRA"},
    {"use_bdlora", "BD-LoRA"},
    {"lora_bias", "biases in B"},
    {"modules_to_save", "whole modules saved beside the adapter"},
    {"trainable_token_indices", "trained tokens"},
    {"target_parameters", "stacked parameters; it needs each expert as a layer of its own"},
    {"fan_in_fan_out", "transposed weights"},
    {"layer_replication", "repeated layers"},
    {"alora_invocation_tokens", "activation by tokens (aLoRA)"},
    {"arrow_config", "routing between adapters (Arrow)"},
    {"monteclora_config", "sampled adapters (MonteCLoRA)"},
    {"kasa_config", "base weights changed before training (KaSA)"},
    {"lora_ga_config", "base weights changed before training (LoRA-GA)"},
    {"corda_config", "base weights changed before training (CorDA)"},
}};
constexpr std::array<std::string_view, 5> kChangesBase{"pissa", "olora", "loftq", "corda",
                                                       "lora_ga"};

class Reader {
 public:
  Reader(const Json& json, std::string file) : json_(json), file_(std::move(file)) {}

  Result<LoraConfig> read() const {
    FATHOM_CHECK(check_kind());
    LoraConfig config;
    FATHOM_TRY(const double rank, number(json_.value("r", Json()), "r", 1, kMostRank));
    FATHOM_TRY(config.rank, whole(rank, "r"));
    FATHOM_TRY(config.alpha,
               number(json_.value("lora_alpha", Json()), "lora_alpha", -kMostAlpha, kMostAlpha));
    config.rank_stabilized = json_.contains("use_rslora") && is_set(json_["use_rslora"]);
    FATHOM_TRY(const auto ranks, patterns("rank_pattern", 1, kMostRank));
    config.ranks.reserve(ranks.size());
    for (const auto& [pattern, value] : ranks) {
      FATHOM_TRY(const int64_t own, whole(value, "rank_pattern"));
      config.ranks.emplace_back(pattern, own);
    }
    FATHOM_TRY(config.alphas, patterns("alpha_pattern", -kMostAlpha, kMostAlpha));
    return config;
  }

 private:
  Status check_kind() const {
    const Json kind = json_.value("peft_type", Json());
    if (kind != "LORA") {
      return fail("{}: peft_type is {}; it must be \"LORA\".", file_, kind.dump());
    }
    for (const auto& [field, what] : kUnsupported) {
      if (json_.contains(field) && is_set(json_[field])) {
        return fail("{}: the adapter uses {} ({}), which is not supported.", file_, field, what);
      }
    }
    const Json bias = json_.value("bias", Json("none"));
    if (is_set(bias) && bias != "none") {
      return fail("{}: the adapter trained biases (bias is {}), which is not supported.", file_,
                  bias.dump());
    }
    const Json start = json_.value("init_lora_weights", Json());
    if (!start.is_string()) return {};
    const auto& name = start.get_ref<const std::string&>();
    if (std::ranges::any_of(kChangesBase, [&](auto way) { return name.starts_with(way); })) {
      return fail(
          "{}: init_lora_weights is {}, which changes the base's weights before training. "
          "Convert the adapter to plain LoRA (PEFT's "
          "path_initial_model_for_weight_conversion) first.",
          file_, in_quotes(name));
    }
    return {};
  }

  Result<double> number(const Json& value, std::string_view field, double least,
                        double most) const {
    if (value.is_number()) {
      const auto got = value.get<double>();
      if (got >= least && got <= most) return got;
    }
    return fail("{}: {} is {}; it must be a number from {} to {}.", file_, field,
                value.is_null() ? "missing" : value.dump(), least, most);
  }

  Result<int64_t> whole(double value, std::string_view field) const {
    if (value == std::floor(value)) return static_cast<int64_t>(value);
    return fail("{}: {} is {}; it must be a whole number.", file_, field, value);
  }

  Result<std::vector<std::pair<std::string, double>>> patterns(const char* field, double least,
                                                               double most) const {
    std::vector<std::pair<std::string, double>> list;
    const Json object = json_.value(field, Json());
    if (object.is_null()) return list;
    if (!object.is_object()) return fail("{}: {} must be an object.", file_, field);
    list.reserve(object.size());
    for (const auto& [pattern, value] : object.items()) {
      const std::string_view name = std::string_view(pattern).substr(pattern.starts_with('^'));
      const bool plain = std::ranges::all_of(
          name, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.'; });
      if (!plain || name.empty()) {
        return fail("{}: {} has the pattern {}; only names of modules or their ends are supported.",
                    file_, field, in_quotes(pattern));
      }
      FATHOM_TRY(const double own, number(value, field, least, most));
      list.emplace_back(pattern, own);
    }
    return list;
  }

  const Json& json_;
  std::string file_;
};

}  // namespace

int64_t LoraConfig::rank_of(std::string_view module) const {
  return value_of(ranks, module, rank);
}

double LoraConfig::scale_of(std::string_view module) const {
  const auto own_rank = static_cast<double>(rank_of(module));
  return value_of(alphas, module, alpha) / (rank_stabilized ? std::sqrt(own_rank) : own_rank);
}

Result<LoraConfig> read_lora_config(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return fail(
        "{} is not there: an adapter is a directory with adapter_config.json and "
        "adapter_model.safetensors, as PEFT saves it.",
        path.string());
  }
  FATHOM_TRY(const std::string text, read_text_file(path, kMostConfig));
  FATHOM_TRY(const Json json, parse_ordered_json(text, path.string()));
  if (!json.is_object()) return fail("{} should hold a JSON object.", path.string());
  return Reader(json, path.string()).read();
}

}  // namespace fathom
