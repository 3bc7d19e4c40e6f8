#include "compress/budget.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>

#include "compress/codec.h"
#include "compress/folds.h"
#include "compress/group_scale.h"
#include "compress/input_statistics.h"
#include "compress/layer_runner.h"
#include "compress/observing_kernels.h"
#include "compress/rearranged_checkpoint.h"
#include "compress/sites.h"
#include "tensor/dequantize.h"

namespace fathom {

namespace {

constexpr int64_t kJudgedRows = 128;  // of a matrix, evenly spread

// Tensors that must be of one type: those of a stack of experts, in a directory those that are
// computed as one matrix.
std::string unit_name(std::string tensor, bool gguf) {
  if (!gguf) {
    for (const std::string_view part :
         {".q_proj.", ".k_proj.", ".v_proj.", ".gate_proj.", ".up_proj."}) {
      const size_t at = tensor.find(part);
      if (at == std::string::npos) continue;
      tensor.replace(at, part.size(), part.size() == 8 ? ".qkv." : ".gate_up.");
      break;
    }
  }
  const std::string_view mark = ".experts.";
  const size_t at = tensor.find(mark);
  if (at == std::string::npos) return tensor;
  const size_t number = at + mark.size();
  return tensor.substr(0, number) +
         tensor.substr(std::min(tensor.find('.', number), tensor.size()));
}

class Allocation {
 public:
  Allocation(const Checkpoint& checkpoint, const QuantizeOptions& options, OutputFormat format,
             std::vector<PlannedTensor>& plan)
      : checkpoint_(checkpoint),
        options_(options),
        gguf_(format == OutputFormat::kGguf),
        plan_(plan),
        kernels_(Kernels::make(KernelChoice::kAuto, options.threads)) {
    if (gguf_) {
      types_ = {DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ4_0,
                DType::kQ5_K, DType::kQ5_0, DType::kQ6_K, DType::kQ8_0};
      if (options.zero_points) {
        types_.push_back(DType::kQ4_1);
        types_.push_back(DType::kQ5_1);
      }
    } else if (options.group == 32) {
      types_ = {options.zero_points ? DType::kI4Z_32 : DType::kQ4_0, DType::kQ8_0};
    } else {
      types_ = {options.zero_points ? DType::kI4Z_128 : DType::kI4_128, DType::kI8_128};
    }
    group_ = judged_block(types_.front());
    std::ranges::sort(types_, {}, [](DType type) { return std::pair(byte_size(type, 256), type); });
  }

  Status run() {
    collect();
    FATHOM_TRY(const int64_t budget, budget_of_units());
    FATHOM_CHECK(measure());
    std::vector<std::vector<TypeChoice>> units;
    units.reserve(units_.size());
    for (const Unit& unit : units_) units.push_back(choices(unit));
    const std::vector<size_t> chosen = spend_bytes(units, budget);
    for (size_t i = 0; i < units_.size(); ++i) {
      for (const size_t index : units_[i].tensors) {
        plan_[index].target = units[i][chosen[i]].type;
        plan_[index].as_is = plan_[index].source->dtype == plan_[index].target;
      }
    }
    return {};
  }

 private:
  struct Unit {
    std::vector<size_t> tensors;  // of the plan
    std::vector<double> losses;   // by type: sums, not yet shares
    double energy = 0;
  };

  void collect() {
    std::unordered_map<std::string, size_t> by_name;
    for (size_t i = 0; i < plan_.size(); ++i) {
      const PlannedTensor& planned = plan_[i];
      const bool asked = (planned.role == TensorRole::kEmbedding && options_.embedding) ||
                         (planned.role == TensorRole::kHead && options_.head);
      const bool takes_part = planned.role == TensorRole::kMatrix ||
                              planned.role == TensorRole::kEmbedding ||
                              planned.role == TensorRole::kHead;
      if (!takes_part || asked || planned.as_is || !has_codec(planned.target)) continue;
      const auto [found, added] =
          by_name.try_emplace(unit_name(planned.source->name, gguf_), units_.size());
      if (added) units_.push_back({{}, std::vector<double>(types_.size()), 0});
      units_[found->second].tensors.push_back(i);
      unit_of_[planned.source->name] = found->second;
    }
  }

  // A layer adds two of the 2 * layers parts that the residual stream is the sum of; the embedding
  // and the head carry all of it.
  double weight(const Unit& unit) const {
    const bool in_layer = plan_[unit.tensors.front()].role == TensorRole::kMatrix;
    return in_layer ? 1.0 : 2.0 * static_cast<double>(checkpoint_.config().layers);
  }

  // A type whose blocks are whole in the rows of all the unit's tensors.
  bool fits(const Unit& unit, DType type) const {
    return std::ranges::all_of(unit.tensors, [&](size_t index) {
      return row_width(*plan_[index].source) % info(type).block_elements == 0;
    });
  }
  DType smallest(const Unit& unit) const {
    return *std::ranges::find_if(types_, [&](DType type) { return fits(unit, type); });
  }

  std::vector<TypeChoice> choices(const Unit& unit) const {
    std::vector<TypeChoice> result;
    result.reserve(types_.size());
    for (size_t k = 0; k < types_.size(); ++k) {
      if (!fits(unit, types_[k])) continue;
      int64_t bytes = 0;
      for (const size_t index : unit.tensors) {
        bytes += byte_size(types_[k], plan_[index].source->shape.elements());
      }
      result.push_back(
          {types_[k], bytes, unit.energy > 0 ? weight(unit) * unit.losses[k] / unit.energy : 0});
    }
    return result;
  }

  // What is left for the units once all other tensors have what they need.
  Result<int64_t> budget_of_units() const {
    int64_t fixed = 0;  // bytes of tensors that count and have their type
    int64_t weights = 0;
    int64_t least = 0;
    int64_t stored = 0;
    const bool whole_file = options_.target_bytes.has_value();
    for (const PlannedTensor& planned : plan_) {
      const Tensor& source = *planned.source;
      stored += source.bytes;
      const bool counts = source.shape.rank() >= 2 && planned.role != TensorRole::kOther;
      if (counts) weights += source.shape.elements();
      if (const auto unit = unit_of_.find(source.name); unit != unit_of_.end()) {
        least += byte_size(smallest(units_[unit->second]), source.shape.elements());
      } else if (counts || whole_file) {
        fixed += byte_size(planned.target, source.shape.elements());
      }
    }
    int64_t budget = 0;
    if (whole_file) {
      int64_t files = 0;
      for (const MappedFile& file : checkpoint_.files()) {
        files += static_cast<int64_t>(file.bytes().size());
      }
      // The tables and the tokenizer stay as they are; tensors begin at multiples of 32. Of a
      // directory, they are made: an entry takes some 100 bytes, and the vocabulary fewer than
      // JSON.
      const TextSource& text = checkpoint_.text();
      const auto entries = static_cast<int64_t>(plan_.size() + 2);
      const int64_t tables =
          !gguf_ ? 512 * entries  // a matrix has up to four parts
          : is_gguf(checkpoint_)
              ? files - stored + 32 * entries
              : static_cast<int64_t>(text.tokenizer_json.size() + text.chat_template.size()) +
                    160 * entries + 4096;
      budget = *options_.target_bytes - fixed - std::max<int64_t>(tables, 0);
    } else {
      budget =
          static_cast<int64_t>(*options_.target_bits * static_cast<double>(weights) / 8) - fixed;
    }
    if (units_.empty()) {
      return usage_error("No tensor of {} can be given a type by a budget.",
                         checkpoint_.path().string());
    }
    if (budget < least) {
      const double needed = static_cast<double>(least - budget);
      if (whole_file) {
        return usage_error(
            "--target-size is too small: with the smallest types that the rows allow {:.0f} bytes "
            "more are needed.",
            needed);
      }
      return usage_error(
          "--target-bits is too small: with the smallest types that the rows allow it takes {:.3f} "
          "bits a weight.",
          *options_.target_bits + 8 * needed / static_cast<double>(weights));
    }
    return budget;
  }

  Status measure() {
    if (needs_text(options_.method)) {
      FATHOM_TRY(const auto runner,
                 LayerRunner::make(checkpoint_, *kernels_, options_.calibration));
      for (int64_t layer = 0; layer < checkpoint_.config().layers; ++layer) {
        FATHOM_CHECK(measure_layer(*runner, layer));
      }
    }
    for (const PlannedTensor& planned : plan_) {
      if (!measured_.contains(planned.source->name)) add_losses(*planned.source, nullptr);
    }
    return {};
  }

  Status measure_layer(LayerRunner& runner, int64_t layer) {
    ObservingKernels observing(*kernels_);
    const std::vector<Site> sites = sites_of(checkpoint_, layer);
    std::vector<std::vector<std::unique_ptr<InputStatistics>>> seen(sites.size());
    for (size_t i = 0; i < sites.size(); ++i) {
      if (sites[i].width() % group_ != 0) continue;
      for (const std::string& tensor : sites[i].inputs) {
        auto& input = seen[i].emplace_back(
            std::make_unique<InputStatistics>(sites[i].width(), group_, false));
        observing.watch(tensor, [statistics = input.get(), this](const MatmulJob& job) {
          statistics->add(job, *kernels_);
        });
      }
    }
    FATHOM_CHECK(runner.run(checkpoint_, observing, layer, true));
    for (size_t i = 0; i < sites.size(); ++i) {
      if (seen[i].empty()) continue;
      for (const Site::Consumer& consumer : sites[i].consumers) {
        const InputStatistics& input = *seen[i][consumer.input];
        add_losses(*consumer.weight, input.rows() > 0 ? &input : nullptr);
      }
    }
    return {};
  }

  void add_losses(const Tensor& tensor, const InputStatistics* input) {
    const auto found = unit_of_.find(tensor.name);
    if (found == unit_of_.end()) return;
    measured_[tensor.name] = true;
    const int64_t rows = row_count(tensor);
    const int64_t width = row_width(tensor);
    const int64_t judged = std::min(rows, kJudgedRows);
    const size_t columns = types_.size() + 1;  // the last one: the energy
    const std::vector<float> importance =
        input == nullptr ? std::vector<float>(static_cast<size_t>(width), 1.0F) : input->diagonal();
    std::vector<double> sums(static_cast<size_t>(judged) * columns);
    kernels_->threads().parallel_for(judged, 4, [&](int64_t begin, int64_t end) {
      std::vector<float> values(static_cast<size_t>(width));
      for (int64_t i = begin; i < end; ++i) {
        Folds().read(tensor, i * rows / judged, 1, values.data());
        row_losses(values, input, importance, sums.data() + static_cast<size_t>(i) * columns);
      }
    });
    Unit& unit = units_[found->second];
    for (size_t i = 0; i < sums.size(); ++i) {
      const size_t k = i % columns;
      (k < types_.size() ? unit.losses[k] : unit.energy) += sums[i];
    }
    checkpoint_.release(tensor);
  }

  void row_losses(std::span<const float> row, const InputStatistics* input,
                  const std::vector<float>& importance, double* sums) const {
    std::vector<float> error(row.size());
    for (size_t k = 0; k <= types_.size(); ++k) {
      if (k < types_.size()) {
        if (std::ssize(row) % info(types_[k]).block_elements != 0) continue;
        with_codec(types_[k], !gguf_,
                   [&](const auto& codec) { round(codec, row, importance.data(), error.data()); });
      } else {
        std::ranges::fill(error, 0.0F);
      }
      for (size_t i = 0; i < error.size(); ++i) error[i] -= row[i];
      const auto group = static_cast<size_t>(group_);
      for (size_t at = 0; at < row.size(); at += group) {
        const float* moments =
            input == nullptr ? nullptr : input->diagonal_block(static_cast<int64_t>(at / group));
        sums[k] += energy(std::span(error).subspan(at, group), moments);
      }
    }
  }

  // As the method will round; with a text, as far as it chooses scales by how much values matter.
  void round(const GroupCodec& codec, std::span<const float> row, const float* importance,
             float* out) const {
    const auto size = static_cast<size_t>(codec.size());
    for (size_t at = 0; at < row.size(); at += size) {
      const std::span group = row.subspan(at, size);
      const auto lost = [&](const GroupScale& scale) {
        codec.snap(scale, group, out + at);
        float sum = 0;
        for (size_t i = 0; i < size; ++i) {
          const float difference = out[at + i] - group[i];
          sum += importance[at + i] * difference * difference;
        }
        return sum;
      };
      const GroupScale scale = needs_text(options_.method)
                                   ? best_scale(codec, group, importance + at, lost)
                                   : codec.fit(group, 1.0F);
      codec.snap(scale, group, out + at);
    }
  }
  void round(const SuperBlockCodec& codec, std::span<const float> row, const float* importance,
             float* out) const {
    const auto size = static_cast<size_t>(SuperBlockCodec::kSize);
    std::vector<std::byte> block(static_cast<size_t>(codec.bytes()));
    for (size_t at = 0; at < row.size(); at += size) {
      codec.encode(row.subspan(at, size), importance + at, block.data());
      dequantize(codec.dtype(), block.data(), SuperBlockCodec::kSize, out + at);
    }
  }

  static double energy(std::span<const float> x, const float* moments) {
    float sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      float product = moments == nullptr ? x[i] : 0.0F;
      if (moments != nullptr) {
        for (size_t j = 0; j < x.size(); ++j) product += moments[i * x.size() + j] * x[j];
      }
      sum += x[i] * product;
    }
    return static_cast<double>(sum);
  }

  const Checkpoint& checkpoint_;
  const QuantizeOptions& options_;
  bool gguf_;
  std::vector<PlannedTensor>& plan_;
  std::unique_ptr<Kernels> kernels_;
  std::vector<DType> types_;  // the smallest first
  int64_t group_ = 0;         // of all of them
  std::vector<Unit> units_;
  std::unordered_map<std::string, size_t> unit_of_;  // by the tensor's name
  std::unordered_map<std::string, bool> measured_;
};

}  // namespace

std::vector<size_t> spend_bytes(const std::vector<std::vector<TypeChoice>>& units, int64_t bytes) {
  std::vector<size_t> chosen(units.size(), 0);
  for (const auto& choices : units) bytes -= choices.front().bytes;
  while (true) {
    size_t best_unit = units.size();
    size_t best_choice = 0;
    double best = 0;
    for (size_t i = 0; i < units.size(); ++i) {
      const TypeChoice& now = units[i][chosen[i]];
      for (size_t k = chosen[i] + 1; k < units[i].size(); ++k) {
        const int64_t more = units[i][k].bytes - now.bytes;
        if (more > bytes || more <= 0) continue;
        const double gain = (now.loss - units[i][k].loss) / static_cast<double>(more);
        if (gain > best) {
          best = gain;
          best_unit = i;
          best_choice = k;
        }
      }
    }
    if (best_unit == units.size()) return chosen;
    bytes -= units[best_unit][best_choice].bytes - units[best_unit][chosen[best_unit]].bytes;
    chosen[best_unit] = best_choice;
  }
}

Status assign_types(const Checkpoint& checkpoint, const QuantizeOptions& options,
                    OutputFormat format, std::vector<PlannedTensor>& plan) {
  return Allocation(checkpoint, options, format, plan).run();
}

}  // namespace fathom
