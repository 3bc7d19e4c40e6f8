#include "compress/tensor_plan.h"

#include <algorithm>
#include <array>

#include "checkpoint/gguf_output.h"
#include "compress/codec.h"
#include "compress/rearranged_checkpoint.h"

namespace fathom {

namespace {

struct GroupType {
  int bits;
  int group;
  bool zero_points;
  DType dtype;
  bool gguf;
};
constexpr std::array<GroupType, 9> kGroupTypes{{{4, 32, false, DType::kQ4_0, true},
                                                {4, 32, true, DType::kQ4_1, true},
                                                {8, 32, false, DType::kQ8_0, true},
                                                {4, 32, true, DType::kI4Z_32, false},
                                                {4, 64, false, DType::kI4_64, false},
                                                {4, 64, true, DType::kI4Z_64, false},
                                                {4, 128, false, DType::kI4_128, false},
                                                {4, 128, true, DType::kI4Z_128, false},
                                                {8, 128, false, DType::kI8_128, false}}};

Result<DType> matrix_type(const QuantizeOptions& options, OutputFormat format) {
  if (options.method == QuantizeMethod::kNone) return options.plain;
  const bool gguf = format == OutputFormat::kGguf;
  if (options.type) {
    if (!gguf) {
      return usage_error(
          "--type {} is a type of GGUF files: directories have --bits, --group and --zero-points.",
          name(*options.type));
    }
    if (!has_codec(*options.type)) return usage_error("{} rounds nothing.", name(*options.type));
    return *options.type;
  }
  if (gguf && options.group != 32) {
    return usage_error(
        "GGUF's types have groups of 32, not of {}. Leave --group out, or quantise a Hugging Face "
        "checkpoint, whose format has other groups.",
        options.group);
  }
  if (format == OutputFormat::kAwq && options.bits != 4) {
    return usage_error("AutoAWQ's layout has weights of 4 bits, not of {}.", options.bits);
  }
  for (const GroupType& type : kGroupTypes) {
    const bool in_format =
        gguf ? type.gguf : !type.gguf || (type.dtype != DType::kQ4_1 && !type.zero_points);
    if (type.bits == options.bits && type.group == options.group &&
        type.zero_points == options.zero_points && in_format) {
      return type.dtype;
    }
  }
  return usage_error(
      "There is no type of {} bits in groups of {}{}: INT4 comes in groups of 32, 64 and 128, with "
      "and without zero points, INT8 in groups of 32 and 128 without.",
      options.bits, options.group, options.zero_points ? " with zero points" : "");
}

// What rows get that have whole groups of 32, but not the 256 of a K type: as in llama.cpp, but for
// the two smallest, for which that has a type we do not write.
DType for_short_rows(DType type) {
  switch (type) {
    case DType::kQ2_K:
    case DType::kQ3_K:
      return DType::kQ4_0;
    case DType::kQ4_K:
      return DType::kQ5_0;
    case DType::kQ5_K:
      return DType::kQ5_1;
    case DType::kQ6_K:
      return DType::kQ8_0;
    default:
      return type;
  }
}

bool is_kept(const Tensor& tensor, const QuantizeOptions& options) {
  return std::ranges::any_of(options.keep, [&](const std::string& part) {
    return tensor.name.find(part) != std::string::npos;
  });
}

// A text that no name has is a slip of the pen, and its matrix would lose what it was to keep.
Status check_keep(const Checkpoint& checkpoint, const QuantizeOptions& options) {
  for (const std::string& part : options.keep) {
    if (part.empty()) return usage_error("--keep is empty, which would keep every matrix.");
    const bool found = std::ranges::any_of(checkpoint.tensors(), [&](const Tensor& tensor) {
      return tensor.shape.rank() >= 2 && tensor.name.find(part) != std::string::npos;
    });
    if (!found) {
      return usage_error("--keep {}: no matrix has that in its name. See fathom inspect --tensors.",
                         part);
    }
  }
  return {};
}

int64_t row_length(const Tensor& tensor) {
  return tensor.shape[tensor.shape.rank() - 1];
}

class Planner {
 public:
  Planner(const Checkpoint& checkpoint, const QuantizeOptions& options, OutputFormat format)
      : checkpoint_(checkpoint),
        options_(options),
        gguf_(format == OutputFormat::kGguf),
        awq_(format == OutputFormat::kAwq) {}

  Result<std::vector<PlannedTensor>> plan(DType matrix_type) {
    matrix_type_ = matrix_type;
    std::vector<PlannedTensor> planned;
    for (const Tensor& tensor : checkpoint_.tensors()) {
      PlannedTensor entry{&tensor, role_of(tensor), tensor.dtype, true};
      if (entry.role != TensorRole::kOther) FATHOM_CHECK(decide(entry));
      planned.push_back(entry);
    }
    return planned;
  }

 private:
  Status decide(PlannedTensor& entry) {
    const Tensor& tensor = *entry.source;
    switch (entry.role) {
      case TensorRole::kVector:
        if (gguf_) become(entry, DType::kF32);
        return {};
      case TensorRole::kRouter:
        if (gguf_) {
          become(entry, DType::kF32);
        } else {
          keep(entry);
        }
        return {};
      case TensorRole::kEmbedding:
        return decide_outer(entry, options_.embedding);
      case TensorRole::kHead:
        return decide_outer(entry, options_.head);
      case TensorRole::kLatentUp:
        if (is_kept(tensor, options_) || (!gguf_ && !is_plain(matrix_type_))) {
          keep(entry);
        } else {
          become(entry, outer_type(tensor));
        }
        return {};
      case TensorRole::kMatrix:
        return decide_matrix(entry);
      case TensorRole::kOther:
        break;
    }
    return {};
  }

  Status decide_matrix(PlannedTensor& entry) {
    const Tensor& tensor = *entry.source;
    if (is_kept(tensor, options_)) {
      keep(entry);
      return {};
    }
    if (info(tensor.dtype).quantized && !is_plain(matrix_type_) && !options_.requantize) {
      return usage_error(
          "{} is quantised already: {} is {}. Quantise the original instead, or say --requantize "
          "to lose twice.",
          checkpoint_.path().string(), tensor.name, name(tensor.dtype));
    }
    const int64_t columns = row_length(tensor);
    if (awq_ && !is_plain(matrix_type_) && tensor.shape[0] % 8 != 0) {
      return usage_error(
          "{} has {} rows, of which AutoAWQ's layout packs 8 into a word. Leave it as it is with "
          "--keep.",
          tensor.name, tensor.shape[0]);
    }
    for (const DType type : {matrix_type_, for_short_rows(matrix_type_)}) {
      if (columns % info(type).block_elements != 0) continue;
      become(entry, type);
      return {};
    }
    if (gguf_) {  // as llama.cpp does with rows that have no whole groups
      become(entry, DType::kF16);
      return {};
    }
    for (const int group : {64, 32}) {
      if (columns % group == 0 && group < options_.group) {
        return usage_error(
            "{} has rows of {} weights, which groups of {} do not divide. Use "
            "--group {}.",
            tensor.name, columns, options_.group, group);
      }
    }
    return usage_error(
        "{} has rows of {} weights, which no group divides. Leave it as it is with "
        "--keep.",
        tensor.name, columns);
  }

  // Embedding and head lose more by few bits than they save: 8 in a GGUF file, and nothing in
  // formats whose readers expect them whole.
  Status decide_outer(PlannedTensor& entry, std::optional<DType> asked) {
    const Tensor& tensor = *entry.source;
    if (is_kept(tensor, options_)) {
      keep(entry);
      return {};
    }
    if (!asked) {
      if (is_plain(matrix_type_)) {
        become(entry, matrix_type_);
      } else if (gguf_) {
        become(entry, outer_type(tensor));
      } else {
        keep(entry);
      }
      return {};
    }
    const DTypeInfo& wanted = info(*asked);
    if (!gguf_ && !is_plain(*asked)) {
      return usage_error("In a Hugging Face checkpoint {} can be F32, F16 or BF16, not {}.",
                         tensor.name, wanted.name);
    }
    if (row_length(tensor) % wanted.block_elements != 0) {
      return usage_error("{} has rows of {} weights, which {}'s groups of {} do not divide.",
                         tensor.name, row_length(tensor), wanted.name, wanted.block_elements);
    }
    become(entry, *asked);
    return {};
  }

  DType outer_type(const Tensor& tensor) const {
    if (is_plain(matrix_type_)) return matrix_type_;
    return row_length(tensor) % 32 == 0 ? DType::kQ8_0 : DType::kF16;
  }

  // A tensor whose type already says less is not blown up.
  void become(PlannedTensor& entry, DType target) const {
    entry.target = target;
    entry.as_is = entry.source->dtype == target;
    const bool smaller =
        info(entry.source->dtype).quantized && !is_plain(matrix_type_) &&
        byte_size(target, info(target).block_elements) * info(entry.source->dtype).block_elements >=
            byte_size(entry.source->dtype, info(entry.source->dtype).block_elements) *
                info(target).block_elements;
    if (smaller && gguf_ && entry.role != TensorRole::kMatrix &&
        entry.role != TensorRole::kVector) {
      keep(entry);
    }
  }

  void keep(PlannedTensor& entry) const {
    entry.target = entry.source->dtype;
    entry.as_is = true;
    // A directory has quantised types for packed matrices only, GGUF not those of directories.
    const DType type = entry.source->dtype;
    const bool foreign =
        gguf_ ? !gguf_type_number(type) : info(type).quantized && fathom::is_gguf(checkpoint_);
    if (foreign) {
      entry.target = DType::kF16;
      entry.as_is = false;
    }
    // Scales beside the tensor would be lost.
    if (entry.source->block_scales != nullptr) {
      entry.target = DType::kBF16;
      entry.as_is = false;
    }
  }

  const Checkpoint& checkpoint_;
  const QuantizeOptions& options_;
  bool gguf_;
  bool awq_;
  DType matrix_type_ = DType::kF16;
};

}  // namespace

TensorRole role_of(const Tensor& tensor) {
  const std::string_view name = tensor.name;
  if (!info(tensor.dtype).computable) return TensorRole::kOther;
  if (name == "model.embed_tokens.weight" || name.ends_with(".embed_tokens.weight")) {
    return TensorRole::kEmbedding;
  }
  if (name == "lm_head.weight" || name.ends_with(".shared_head.head.weight")) {
    return TensorRole::kHead;
  }
  if (name.ends_with(".mlp.gate.weight")) return TensorRole::kRouter;
  if (tensor.shape.rank() < 2) return TensorRole::kVector;
  if (name.ends_with("_scale_inv")) return TensorRole::kOther;
  if (name.ends_with(".kv_b_proj.weight") || name.ends_with(".k_b_proj.weight") ||
      name.ends_with(".v_b_proj.weight")) {
    return TensorRole::kLatentUp;
  }
  return name.starts_with("model.layers.") && tensor.shape.rank() == 2 ? TensorRole::kMatrix
                                                                       : TensorRole::kOther;
}

Result<std::vector<PlannedTensor>> plan_tensors(const Checkpoint& checkpoint,
                                                const QuantizeOptions& options,
                                                OutputFormat format) {
  FATHOM_CHECK(check_keep(checkpoint, options));
  if (options.head && checkpoint.find("lm_head.weight") == nullptr) {
    return usage_error(
        "{} has no output head of its own: its embedding serves as that. Say "
        "--embedding.",
        checkpoint.path().string());
  }
  if (options.act_order && !makes_up_errors(options.method)) {
    return usage_error("--act-order is GPTQ's: it needs --method gptq or awq-gptq.");
  }
  if (options.target_bits || options.target_bytes) {
    if (format == OutputFormat::kAwq) {
      return usage_error(
          "AutoAWQ's layout has one type for all matrices: --target-bits and --target-size are for "
          "the formats gguf and hf.");
    }
    if (format == OutputFormat::kHuggingFace && options.group == 64) {
      return usage_error(
          "There is no INT8 in groups of 64 for --target-bits and --target-size to choose: use "
          "--group 32 or --group 128.");
    }
    if (options.method == QuantizeMethod::kNone || options.bits != 4 || options.type) {
      return usage_error(
          "--target-bits and --target-size choose the bits themselves: leave --method none, --bits "
          "and --type out.");
    }
  }
  if (options.method == QuantizeMethod::kNone && !is_plain(options.plain)) {
    return usage_error("{} is no plain type.", name(options.plain));
  }
  FATHOM_TRY(const DType type, matrix_type(options, format));
  return Planner(checkpoint, options, format).plan(type);
}

}  // namespace fathom
