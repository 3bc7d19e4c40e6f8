#include <unordered_map>
#include <utility>

#include "checkpoint/gguf_file.h"
#include "checkpoint/gguf_keys.h"
#include "checkpoint/gguf_names.h"
#include "checkpoint/gguf_output.h"
#include "checkpoint/stored_temperature.h"
#include "compress/folds.h"
#include "compress/rearranged_checkpoint.h"
#include "compress/row_order.h"
#include "compress/same_tokenizer.h"
#include "compress/weight_output.h"

namespace fathom {

namespace {

// llama.cpp's llama_ftype: what most of a file is stored as. Of K types, the plain ("small")
// variants.
uint32_t file_type_of(DType type) {
  switch (type) {
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ8_0:
      return 7;
    case DType::kQ5_0:
      return 8;
    case DType::kQ5_1:
      return 9;
    case DType::kQ2_K:
      return 10;
    case DType::kQ3_K:
      return 11;
    case DType::kQ4_K:
      return 14;
    case DType::kQ5_K:
      return 16;
    default:
      return 18;  // Q6_K
  }
}

uint32_t file_type(const QuantizeOptions& options) {
  if (options.method == QuantizeMethod::kNone) {
    return options.plain == DType::kF32 ? 0 : options.plain == DType::kF16 ? 1 : 32;
  }
  if (options.type) return file_type_of(*options.type);
  if (options.bits == 8) return 7;
  return options.zero_points ? 3 : 2;
}

struct Place {
  size_t tensor = 0;  // of the file
  int64_t first = 0;  // of the tensor's elements
  RowOrder order;
};

class GgufWeights final : public WeightOutput {
 public:
  GgufWeights(GgufOutput file, std::unordered_map<const Tensor*, Place> places)
      : file_(std::move(file)), places_(std::move(places)) {}

  Status write(const PlannedTensor& tensor, int64_t row,
               std::span<const std::byte> bytes) override {
    const Place& place = places_.at(tensor.source);
    const int64_t width = row_width(*tensor.source);
    const auto offset = [&](int64_t of_row) {
      return byte_size(tensor.target, place.first + of_row * width);
    };
    if (place.order.as_it_stands()) return file_.write(place.tensor, offset(row), bytes);
    const auto size = static_cast<size_t>(byte_size(tensor.target, width));
    for (size_t at = 0; at < bytes.size(); at += size, ++row) {
      FATHOM_CHECK(file_.write(place.tensor, offset(place.order(row)), bytes.subspan(at, size)));
    }
    return {};
  }
  Status sync() override { return file_.sync(); }
  void keep() override { file_.keep(); }
  Status commit() override { return file_.commit(); }
  int64_t bytes() const override { return file_.bytes(); }

 private:
  GgufOutput file_;
  std::unordered_map<const Tensor*, Place> places_;
};

// What a file will hold, and where each planned tensor is in it.
struct Table {
  std::vector<GgufOutput::Announced> announced;
  std::unordered_map<const Tensor*, Place> places;
};

std::unexpected<Error> other_type(const Tensor& expert) {
  return usage_error("{} is one of a stack of experts, which must all be of one type.",
                     expert.name);
}

std::vector<std::pair<std::string, uint32_t>> type_keys(const QuantizeOptions& options) {
  std::vector<std::pair<std::string, uint32_t>> keys = {{"general.file_type", file_type(options)}};
  if (options.method != QuantizeMethod::kNone) keys.emplace_back("general.quantization_version", 2);
  return keys;
}

// A GGUF file's own tensors, under their names and in their order.
Result<std::unique_ptr<WeightOutput>> same_tensors(const OutputPlace& place,
                                                   const Checkpoint& checkpoint,
                                                   const QuantizeOptions& options,
                                                   const std::vector<PlannedTensor>& plan) {
  // The files' own tables: the checkpoint has renamed its tensors and cut stacks of experts apart.
  std::vector<GgufFile> parts;
  for (const MappedFile& file : checkpoint.files()) {
    FATHOM_TRY(GgufFile part, parse_gguf(file.bytes(), file.path().string()));
    parts.push_back(std::move(part));
  }
  if (parts.empty()) return fail("{} is not in a file.", checkpoint.path().string());
  std::unordered_map<const std::byte*, const PlannedTensor*> by_data;
  for (const PlannedTensor& planned : plan) by_data[planned.source->data] = &planned;

  Table table;
  for (const GgufFile& part : parts) {
    for (const Tensor& stored : part.tensors) {
      const int64_t elements = stored.shape.elements();
      DType target = stored.dtype;
      for (int64_t first = 0; first < elements;) {
        const auto found = by_data.find(stored.data + byte_size(stored.dtype, first));
        if (found == by_data.end()) {
          return fail("{}: the tensor {} is not one of the model's", checkpoint.path().string(),
                      stored.name);
        }
        const PlannedTensor& slice = *found->second;
        if (first > 0 && slice.target != target) {
          return other_type(*slice.source);
        }
        target = slice.target;
        table.places[slice.source] = {table.announced.size(), first, {}};
        first += slice.source->shape.elements();
      }
      table.announced.push_back({stored.name, target, stored.shape});
    }
  }
  FATHOM_TRY(GgufOutput file, GgufOutput::create(place, parts.front().metadata, type_keys(options),
                                                 table.announced));
  return std::make_unique<GgufWeights>(std::move(file), std::move(table.places));
}

// A directory's tensors under GGUF's names, experts in stacks.
Result<Table> converted_table(const Checkpoint& checkpoint,
                              const std::vector<PlannedTensor>& plan) {
  Table table;
  std::unordered_map<std::string, size_t> stacks;
  for (const PlannedTensor& planned : plan) {
    const Tensor& source = *planned.source;
    const auto name = gguf_name(source.name);
    if (!name) return fail("{} has no place in a GGUF file.", source.name);
    Place place{table.announced.size(), 0,
                RowOrder(source, checkpoint.config(), OutputFormat::kGguf)};
    if (!name->expert) {
      table.announced.push_back({name->name, planned.target, source.shape});
    } else {
      const auto [found, added] = stacks.try_emplace(name->name, table.announced.size());
      if (added) {
        table.announced.push_back(
            {name->name,
             planned.target,
             {checkpoint.config().moe.experts, source.shape[0], source.shape[1]}});
      }
      place.tensor = found->second;
      place.first = *name->expert * source.shape.elements();
      if (table.announced[place.tensor].dtype != planned.target) return other_type(source);
    }
    table.places[&source] = place;
  }
  return table;
}

Status add_vocabulary(const Checkpoint& checkpoint, GgufKeys& keys) {
  if (checkpoint.text().tokenizer_json.empty()) {
    keys.add_string("tokenizer.ggml.model", "none");
    return {};
  }
  FATHOM_TRY(const auto tokenizer, Tokenizer::make(checkpoint.text()));
  TextSource written;
  FATHOM_TRY(written.gguf, tokenizer->to_gguf());
  FATHOM_CHECK(check_same_tokenizer(*tokenizer, written, "GGUF's vocabulary"));
  return add_text_keys(*std::move(written.gguf), checkpoint.text().chat_template,
                       checkpoint.generation(), checkpoint.config().vocab_size, keys);
}

Result<std::unique_ptr<WeightOutput>> converted_tensors(const OutputPlace& place,
                                                        const Checkpoint& checkpoint,
                                                        const QuantizeOptions& options,
                                                        const std::vector<PlannedTensor>& plan) {
  const ModelConfig& config = checkpoint.config();
  GgufKeys keys(place.path.string());
  FATHOM_CHECK(add_config_keys(config, keys));
  FATHOM_CHECK(add_vocabulary(checkpoint, keys));
  FATHOM_TRY(const auto temperature, stored_temperature(checkpoint));
  if (temperature) keys.add_float("fathom.temperature", temperature->value);
  if (temperature && !temperature->bias.empty()) {
    keys.add_floats("fathom.temperature_bias", temperature->bias);
  }
  FATHOM_TRY(Table table, converted_table(checkpoint, plan));
  std::vector<float> divisors;
  if (config.rope.scaling == RopeScaling::kLlama3) {
    divisors = llama3_divisors(config.rope, config.head_dim);
    table.announced.push_back({"rope_freqs.weight", DType::kF32, {std::ssize(divisors)}});
  }
  FATHOM_TRY(GgufOutput file,
             GgufOutput::create(place, keys.metadata(), type_keys(options), table.announced));
  if (!divisors.empty()) {
    FATHOM_CHECK(file.write(table.announced.size() - 1, 0, std::as_bytes(std::span(divisors))));
  }
  return std::make_unique<GgufWeights>(std::move(file), std::move(table.places));
}

}  // namespace

Result<std::unique_ptr<WeightOutput>> make_gguf_output(const OutputPlace& place,
                                                       const Checkpoint& checkpoint,
                                                       const QuantizeOptions& options,
                                                       const std::vector<PlannedTensor>& plan) {
  return is_gguf(checkpoint) ? same_tensors(place, checkpoint, options, plan)
                             : converted_tensors(place, checkpoint, options, plan);
}

}  // namespace fathom
