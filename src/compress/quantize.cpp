#include "compress/quantize.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/fingerprint.h"
#include "checkpoint/identity.h"
#include "compress/awq.h"
#include "compress/budget.h"
#include "compress/codec.h"
#include "compress/folds.h"
#include "compress/gptq.h"
#include "compress/input_statistics.h"
#include "compress/journal.h"
#include "compress/layer_runner.h"
#include "compress/observing_kernels.h"
#include "compress/overlay_checkpoint.h"
#include "compress/rearranged_checkpoint.h"
#include "compress/sites.h"
#include "compress/weight_output.h"
#include "layers/names.h"
#include "tensor/encode.h"
#include "tensor/finite_scales.h"

namespace fathom {

namespace {

constexpr int64_t kValuesAtOnce = int64_t{4} << 20;
constexpr int64_t kRowsOfThread = 8;
constexpr int64_t kTokensAtOnce = 512;
// Statistics of fewer tokens than this are filled up to it (Quantizer::fill_up).
constexpr int64_t kFewTokens = 64;

bool is_plain(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

class Quantizer {
 public:
  Quantizer(const Checkpoint& checkpoint, const std::filesystem::path& path, OutputFormat format,
            const QuantizeOptions& options, std::vector<PlannedTensor> plan,
            std::unique_ptr<WeightOutput> output, QuantizeJournal& journal)
      : checkpoint_(checkpoint),
        path_(path),
        options_(options),
        positive_(format != OutputFormat::kGguf),
        plan_(std::move(plan)),
        output_(std::move(output)),
        journal_(journal),
        kernels_(Kernels::make(KernelChoice::kAuto, options.threads)) {
    for (const PlannedTensor& tensor : plan_) {
      by_name_[tensor.source->name] = &tensor;
      total_ += tensor.source->shape.elements();
    }
  }

  Result<QuantizeReport> run() {
    FATHOM_CHECK(layers());
    for (const PlannedTensor& tensor : plan_) {
      if (!written_.contains(&tensor)) FATHOM_CHECK(write_rounded(tensor));
    }
    FATHOM_CHECK(output_->commit());
    report_.bytes = output_->bytes();
    double bits = 0;
    for (const PlannedTensor& tensor : plan_) {
      if (tensor.source->shape.rank() < 2 || tensor.role == TensorRole::kOther) continue;
      report_.parameters += tensor.source->shape.elements();
      bits += 8.0 * static_cast<double>(byte_size(tensor.target, tensor.source->shape.elements()));
      if (tensor.role == TensorRole::kMatrix && !is_plain(tensor.target)) ++report_.quantized;
    }
    report_.bits_per_weight = bits / static_cast<double>(std::max<int64_t>(report_.parameters, 1));
    return report_;
  }

 private:
  Status layers() {
    const bool calibrated = needs_text(options_.method);
    std::unique_ptr<LayerRunner> runner;
    if (calibrated) {
      for (const auto& window : options_.calibration) {
        report_.tokens += static_cast<int64_t>(window.size());
      }
      if (report_.tokens == 0) return fail("There is no calibration text.");
      FATHOM_TRY(runner, LayerRunner::make(checkpoint_, *kernels_, options_.calibration));
    }
    if (journal_.layers() > 0) FATHOM_CHECK(resume(runner.get()));
    for (int64_t layer = journal_.layers(); layer < checkpoint_.config().layers; ++layer) {
      if (calibrated) FATHOM_CHECK(quantize_layer(*runner, layer));
      FATHOM_CHECK(write_rest_of(layer));
      if (makes_up_errors(options_.method)) FATHOM_CHECK(pass_quantized(*runner, layer));
      FATHOM_CHECK(kept_if_it_fails(output_->sync()));
      FATHOM_CHECK(kept_if_it_fails(journal_.add_layer(
          report_.unreached, calibrated ? std::span(runner->stream()) : std::span<const float>())));
    }
    return calibrated ? write_head(*runner) : Status();
  }

  // What an earlier run has done counts as done.
  Status resume(LayerRunner* runner) {
    if (runner != nullptr && !runner->set_stream(journal_.stream())) {
      return fail("{} is damaged: remove it.", journal_.folder().string());
    }
    report_.unreached = journal_.unreached();
    for (int64_t layer = 0; layer < journal_.layers(); ++layer) {
      const std::string prefix = layer_name(layer, "");
      for (const PlannedTensor& tensor : plan_) {
        if (!tensor.source->name.starts_with(prefix)) continue;
        written_.insert(&tensor);
        done_ += tensor.source->shape.elements();
      }
    }
    return {};
  }

  // A full disk, or a person who stops the work: neither takes back what was done.
  Status kept_if_it_fails(Status status) {
    if (status) return status;
    journal_.keep();
    if (journal_.layers() > 0) {
      output_->keep();
      note(
          fmt::format("{} of {} layers are finished and kept in {}: the same command goes on there",
                      journal_.layers(), checkpoint_.config().layers, journal_.folder().string()));
    }
    return status;
  }

  struct Observed {
    Site site;
    std::vector<std::unique_ptr<InputStatistics>> inputs;
  };

  Status quantize_layer(LayerRunner& runner, int64_t layer) {
    const bool gptq = makes_up_errors(options_.method);
    ObservingKernels observing(*kernels_);
    std::vector<Observed> observed;
    for (Site& site : sites_of(checkpoint_, layer)) {
      FATHOM_CHECK(check_finite(site));
      const int64_t group = group_of(site);
      if (group == 0) continue;
      Observed entry;
      for (const std::string& name : site.inputs) {
        auto& input =
            entry.inputs.emplace_back(std::make_unique<InputStatistics>(site.width(), group, gptq));
        observing.watch(name, [statistics = input.get(), this](const MatmulJob& job) {
          statistics->add(job, *kernels_);
        });
      }
      entry.site = std::move(site);
      observed.push_back(std::move(entry));
    }
    FATHOM_CHECK(runner.run(checkpoint_, observing, layer, !gptq));
    for (Observed& entry : observed) fill_up(entry);
    if (moves_scales(options_.method)) {
      for (const Observed& entry : observed) search(entry);
    }
    kept_.clear();
    for (const Observed& entry : observed) {
      FATHOM_CHECK(gptq ? write_gptq(entry) : write_awq(entry));
    }
    return {};
  }

  Status write_rest_of(int64_t layer) {
    const std::string prefix = layer_name(layer, "");
    for (const PlannedTensor& tensor : plan_) {
      if (tensor.source->name.starts_with(prefix) && !written_.contains(&tensor)) {
        FATHOM_CHECK(write_rounded(tensor));
      }
    }
    return {};
  }

  // GPTQ: the next layer sees what this one gives now.
  Status pass_quantized(LayerRunner& runner, int64_t layer) {
    std::vector<Tensor> replaced;
    for (const auto& [planned, bytes] : kept_) {
      Tensor tensor = *planned->source;
      tensor.dtype = planned->target;
      tensor.data = bytes.data();
      tensor.bytes = static_cast<int64_t>(bytes.size());
      tensor.block_scales = nullptr;
      replaced.push_back(std::move(tensor));
    }
    return runner.run(OverlayCheckpoint(checkpoint_, replaced), *kernels_, layer, true);
  }

  // 0: none of the site's matrices is quantised in groups.
  int64_t group_of(const Site& site) const {
    for (const Site::Consumer& consumer : site.consumers) {
      const DType type = target(*consumer.weight);
      if (has_codec(type)) return judged_block(type);
    }
    return 0;
  }

  // A site of experts: those that few tokens reached are judged by what all experts' tokens were,
  // as far as their own are too few; a matrix behind an expert's own activations has no others, and
  // is taken to have inputs of equal size. What no token reached is left to rounding.
  void fill_up(Observed& entry) {
    InputStatistics* pooled = nullptr;
    std::unique_ptr<InputStatistics> sum;
    if (entry.inputs.size() > 1) {
      sum = std::make_unique<InputStatistics>(*entry.inputs.front());
      for (size_t i = 1; i < entry.inputs.size(); ++i) sum->add(*entry.inputs[i], 1.0);
      pooled = sum.get();
    }
    for (size_t i = 0; i < entry.inputs.size(); ++i) {
      InputStatistics& input = *entry.inputs[i];
      const auto rows = static_cast<int64_t>(input.rows());
      if (rows == 0) {
        for (const Site::Consumer& consumer : entry.site.consumers) {
          if (consumer.input != i) continue;
          ++report_.unreached;
          note(fmt::format("no calibration token reached {}: it is rounded to nearest",
                           consumer.weight->name));
        }
      } else if (rows < kFewTokens && pooled != nullptr) {
        input.add(*pooled, static_cast<double>(kFewTokens - rows) / pooled->rows());
      } else if (rows < kFewTokens) {
        input.add_plain(kFewTokens - rows);
      }
    }
  }

  // Every tensor that a fold changes must be one that is written anew or can be without loss.
  bool can_fold(const Site& site) const {
    const auto changeable = [&](const Tensor* tensor) {
      const PlannedTensor& planned = *by_name_.at(tensor->name);
      return !planned.as_is || is_plain(planned.target);
    };
    return std::ranges::all_of(site.consumers,
                               [&](const auto& consumer) { return changeable(consumer.weight); }) &&
           std::ranges::all_of(site.exact, changeable) &&
           std::ranges::all_of(site.producers, changeable);
  }

  void search(const Observed& entry) {
    if (!can_fold(entry.site)) return;
    std::vector<const InputStatistics*> inputs;
    inputs.reserve(entry.inputs.size());
    for (const auto& input : entry.inputs) inputs.push_back(input.get());
    search_scales(
        entry.site, inputs, [this](const Tensor& tensor) { return target(tensor); }, positive_,
        kernels_->threads(), folds_);
  }

  Status write_awq(const Observed& entry) {
    for (const Site::Consumer& consumer : entry.site.consumers) {
      const PlannedTensor& planned = *by_name_.at(consumer.weight->name);
      const InputStatistics& input = *entry.inputs[consumer.input];
      if (planned.as_is || !has_codec(planned.target) || input.rows() == 0) continue;
      const std::vector<float>& columns = folds_.of(*consumer.weight).columns;
      FATHOM_CHECK(with_codec(planned.target, positive_, [&](const auto& codec) {
        return write_rows(planned, [&](float* values, int64_t rows, std::byte* out) {
          encode_clipped(codec, input, columns, values, rows, out);
        });
      }));
    }
    return {};
  }

  Status write_gptq(const Observed& entry) {
    std::vector<std::unique_ptr<GptqRounder>> rounders(entry.inputs.size());
    for (const Site::Consumer& consumer : entry.site.consumers) {
      const PlannedTensor& planned = *by_name_.at(consumer.weight->name);
      const InputStatistics& input = *entry.inputs[consumer.input];
      if (planned.as_is || !has_codec(planned.target) || input.rows() == 0) continue;
      auto& rounder = rounders[consumer.input];
      if (rounder == nullptr) {
        auto made = GptqRounder::make(input, folds_.of(*consumer.weight).columns,
                                      options_.act_order, kernels_->threads());
        if (!made) return fail("{}: {}", planned.source->name, made.error().message);
        rounder = std::make_unique<GptqRounder>(*std::move(made));
      }
      FATHOM_CHECK(with_codec(planned.target, positive_, [&](const auto& codec) {
        return write_rows(planned, [&](float* values, int64_t rows, std::byte* out) {
          rounder->encode_rows(codec, values, rows, out);
        });
      }));
    }
    return {};
  }

  // The output head, or the embedding that serves as one, where it gets so few bits that it matters
  // how they are chosen. Its input is what the last layer gave, through the final norm. An
  // embedding is looked up too, and then all its columns matter alike: half of the moments that it
  // is judged by say that.
  Status write_head(const LayerRunner& runner) {
    const Tensor* head = checkpoint_.find("lm_head.weight");
    const bool tied = head == nullptr;
    if (tied) head = checkpoint_.find("model.embed_tokens.weight");
    const Tensor* norm = checkpoint_.find("model.norm.weight");
    if (head == nullptr || norm == nullptr) return {};
    const PlannedTensor& planned = *by_name_.at(head->name);
    if (planned.as_is || !has_codec(planned.target) || planned.target == DType::kQ8_0 ||
        planned.target == DType::kI8_128) {
      return {};
    }
    FATHOM_CHECK(check_finite(*head));
    const int64_t width = head->shape[1];
    const bool gptq = makes_up_errors(options_.method);
    InputStatistics statistics(width, judged_block(planned.target), gptq);
    std::vector<float> norm_weight(static_cast<size_t>(width));
    Folds().read(*norm, 0, width, norm_weight.data());
    const std::vector<float>& stream = runner.stream();
    const auto rows = static_cast<int64_t>(stream.size()) / width;
    std::vector<float> input(static_cast<size_t>(std::min(rows, kTokensAtOnce) * width));
    for (int64_t row = 0; row < rows; row += kTokensAtOnce) {
      const int64_t count = std::min(kTokensAtOnce, rows - row);
      kernels_->rms_norm(stream.data() + row * width, width, norm_weight.data(),
                         checkpoint_.config().norm_eps, count, width, input.data(), width);
      statistics.add({.x = input.data(), .x_stride = width, .rows = count}, *kernels_);
    }
    if (tied) statistics.add_plain(rows);
    if (!gptq) {
      return with_codec(planned.target, positive_, [&](const auto& codec) {
        return write_rows(planned, [&](float* values, int64_t count, std::byte* out) {
          encode_clipped(codec, statistics, {}, values, count, out);
        });
      });
    }
    auto rounder = GptqRounder::make(statistics, {}, options_.act_order, kernels_->threads());
    if (!rounder) return fail("{}: {}", head->name, rounder.error().message);
    return with_codec(planned.target, positive_, [&](const auto& codec) {
      return write_rows(planned, [&](float* values, int64_t count, std::byte* out) {
        rounder->encode_rows(codec, values, count, out);
      });
    });
  }

  // To the type that is planned, or as it stands.
  Status write_rounded(const PlannedTensor& planned) {
    const Tensor& source = *planned.source;
    if (planned.role != TensorRole::kOther) FATHOM_CHECK(check_finite(source));
    if (planned.as_is && !folds_.touches(source)) {
      FATHOM_CHECK(kept_if_it_fails(
          output_->write(planned, 0, {source.data, static_cast<size_t>(source.bytes)})));
      return done(planned);
    }
    const bool ours = GroupCodec::exists(planned.target) && positive_;
    const int64_t width = row_width(source);
    return write_rows(planned, [&](const float* values, int64_t rows, std::byte* out) {
      if (!ours) return encode(planned.target, values, rows * width, out);
      encode_groups(GroupCodec(planned.target, true), {values, static_cast<size_t>(rows * width)},
                    out);
    });
  }

  // Reads, scales and encodes a tensor, kValuesAtOnce values at a time, its rows on all threads.
  template <typename Encode>
  Status write_rows(const PlannedTensor& planned, Encode encode_part) {
    const Tensor& source = *planned.source;
    const int64_t width = row_width(source);
    const int64_t rows = row_count(source);
    const int64_t row_bytes =
        width == 1 ? byte_size(planned.target, 1) : byte_size(planned.target, width);
    const int64_t at_once = std::clamp<int64_t>(kValuesAtOnce / width, 1, rows);
    std::vector<std::byte> bytes(static_cast<size_t>(at_once * row_bytes));
    const bool keep = makes_up_errors(options_.method) &&
                      ((planned.role == TensorRole::kMatrix && !is_plain(planned.target)) ||
                       folds_.touches(source));
    std::vector<std::byte>* kept = keep ? &kept_[&planned] : nullptr;
    for (int64_t row = 0; row < rows; row += at_once) {
      const int64_t count = std::min(at_once, rows - row);
      kernels_->threads().parallel_for(
          count, width == 1 ? count : kRowsOfThread, [&](int64_t begin, int64_t end) {
            std::vector<float> values(static_cast<size_t>((end - begin) * width));
            folds_.read(source, row + begin, end - begin, values.data());
            encode_part(values.data(), end - begin, bytes.data() + begin * row_bytes);
          });
      const std::span part(bytes.data(), static_cast<size_t>(count * row_bytes));
      const int64_t place = width == 1 ? 0 : row;
      FATHOM_CHECK(kept_if_it_fails(output_->write(planned, place, part)));
      if (kept != nullptr) kept->insert(kept->end(), part.begin(), part.end());
    }
    return done(planned);
  }

  Status check_finite(const Site& site) const {
    for (const Site::Consumer& consumer : site.consumers) {
      FATHOM_CHECK(check_finite(*consumer.weight));
    }
    return {};
  }

  Status check_finite(const Tensor& tensor) const {
    if (tensor.shape.rank() < 2) return check_finite_scales(tensor);
    const int64_t rows = tensor.shape[0];
    std::atomic<bool> damaged = false;
    kernels_->threads().parallel_for(rows, 64, [&](int64_t begin, int64_t end) {
      if (!check_finite_scales(tensor, begin, end - begin)) damaged = true;
    });
    return damaged ? check_finite_scales(tensor) : Status();
  }

  Status done(const PlannedTensor& planned) {
    written_.insert(&planned);
    checkpoint_.release(*planned.source);
    done_ += planned.source->shape.elements();
    if (options_.on_progress &&
        !options_.on_progress(static_cast<double>(done_) / static_cast<double>(total_))) {
      return kept_if_it_fails(fail("Interrupted: {} was not made.", path_.string()));
    }
    return {};
  }

  DType target(const Tensor& tensor) const { return by_name_.at(tensor.name)->target; }
  void note(std::string_view text) const {
    if (options_.on_note) options_.on_note(text);
  }

  const Checkpoint& checkpoint_;
  const std::filesystem::path& path_;
  const QuantizeOptions& options_;
  bool positive_;
  std::vector<PlannedTensor> plan_;
  std::unique_ptr<WeightOutput> output_;
  QuantizeJournal& journal_;
  std::unique_ptr<Kernels> kernels_;
  std::unordered_map<std::string, const PlannedTensor*> by_name_;
  std::unordered_set<const PlannedTensor*> written_;
  std::unordered_map<const PlannedTensor*, std::vector<std::byte>> kept_;  // GPTQ: of this layer
  Folds folds_;
  int64_t total_ = 0;
  int64_t done_ = 0;
  QuantizeReport report_;
};

const char* name_of(QuantizeMethod method) {
  switch (method) {
    case QuantizeMethod::kNone:
      return "none";
    case QuantizeMethod::kRtn:
      return "rtn";
    case QuantizeMethod::kAwq:
      return "awq";
    case QuantizeMethod::kGptq:
      return "gptq";
    case QuantizeMethod::kAwqGptq:
      return "awq-gptq";
  }
  return "";
}

// All that the result depends on: a run may go on with what another left only where these agree.
std::string command_of(const Checkpoint& checkpoint, OutputFormat format,
                       const QuantizeOptions& options) {
  const auto type = [](std::optional<DType> dtype) {
    return std::string(dtype ? name(*dtype) : "");
  };
  Fingerprint text;
  for (const auto& window : options.calibration) {
    text.add(std::as_bytes(std::span<const int32_t>(window)));
  }
  const auto identity = identify(checkpoint);
  const auto hex = [](uint64_t value) { return fmt::format("{:016x}", value); };
  const nlohmann::json command = {
      {"version", 1},
      {"kernels", std::string(Kernels::make(KernelChoice::kAuto, 1)->name())},
      {"source", checkpoint.path().string()},
      {"source_content", identity ? hex(identity->content) : ""},
      {"format", static_cast<int>(format)},
      {"method", name_of(options.method)},
      {"type", type(options.plain)},
      {"bits", options.bits},
      {"matrix_type", type(options.type)},
      {"group", options.group},
      {"zero_points", options.zero_points},
      {"embedding", type(options.embedding)},
      {"head", type(options.head)},
      {"keep", options.keep},
      {"target_bits", options.target_bits.value_or(0)},
      {"target_bytes", options.target_bytes.value_or(0)},
      {"requantize", options.requantize},
      {"act_order", options.act_order},
      {"calibration", hex(text.value())}};
  return command.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Result<QuantizeReport> quantize(const Checkpoint& source, const std::filesystem::path& path,
                                OutputFormat format, const QuantizeOptions& options) {
  std::error_code error;
  if (std::filesystem::equivalent(path, source.path(), error)) {
    return usage_error("{} is the source itself: write to another place.", path.string());
  }
  std::unique_ptr<Checkpoint> rearranged;
  if (is_gguf(source) != (format == OutputFormat::kGguf)) {
    FATHOM_TRY(rearranged, rearrange(source, format));
  }
  const Checkpoint& checkpoint = rearranged ? *rearranged : source;
  FATHOM_TRY(auto plan, plan_tensors(checkpoint, options, format));
  if (format != OutputFormat::kGguf && std::filesystem::exists(path, error)) {
    return usage_error("{} is there already: name a directory that is not.", path.string());
  }
  FATHOM_TRY(QuantizeJournal journal,
             QuantizeJournal::open(path, command_of(checkpoint, format, options), options.on_note));
  if (!journal.restore_types(plan) && (options.target_bits || options.target_bytes)) {
    FATHOM_CHECK(assign_types(checkpoint, options, format, plan));
  }
  FATHOM_CHECK(journal.set_types(plan));
  OutputPlace place{path, journal.folder() / "model", journal.layers() > 0};
  auto output = WeightOutput::create(place, format, checkpoint, options, plan);
  if (!output && place.resume) {
    if (options.on_note) {
      options.on_note(
          fmt::format("what was written before is not there any more ({}): it is begun "
                      "anew",
                      output.error().message));
    }
    FATHOM_CHECK(journal.restart());
    FATHOM_CHECK(journal.set_types(plan));
    place.resume = false;
    output = WeightOutput::create(place, format, checkpoint, options, plan);
  }
  if (!output) return std::unexpected(output.error());
  return Quantizer(checkpoint, path, format, options, std::move(plan), *std::move(output), journal)
      .run();
}

}  // namespace fathom
