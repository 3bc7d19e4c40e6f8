#include "compress/calibrated_quantizer.h"

#include <algorithm>
#include <utility>

#include "compress/awq.h"
#include "compress/codec.h"
#include "compress/gptq.h"
#include "compress/observing_kernels.h"
#include "compress/overlay_checkpoint.h"

namespace fathom {

namespace {

constexpr int64_t kTokensAtOnce = 512;
// Statistics of fewer tokens than this are filled up to it (CalibratedQuantizer::fill_up).
constexpr int64_t kFewTokens = 64;

}  // namespace

Result<std::unique_ptr<CalibratedQuantizer>> CalibratedQuantizer::make(
    const Checkpoint& checkpoint, const QuantizeOptions& options, TensorWriter& writer) {
  int64_t tokens = 0;
  for (const auto& window : options.calibration) tokens += static_cast<int64_t>(window.size());
  if (tokens == 0) return fail("There is no calibration text.");
  FATHOM_TRY(auto runner, LayerRunner::make(checkpoint, writer.kernels(), options.calibration));
  return std::unique_ptr<CalibratedQuantizer>(
      new CalibratedQuantizer(checkpoint, options, writer, std::move(runner), tokens));
}

CalibratedQuantizer::CalibratedQuantizer(const Checkpoint& checkpoint,
                                         const QuantizeOptions& options, TensorWriter& writer,
                                         std::unique_ptr<LayerRunner> runner, int64_t tokens)
    : checkpoint_(checkpoint),
      options_(options),
      writer_(writer),
      runner_(std::move(runner)),
      tokens_(tokens) {}

Status CalibratedQuantizer::quantize_layer(int64_t layer) {
  const bool gptq = makes_up_errors(options_.method);
  Kernels& kernels = writer_.kernels();
  ObservingKernels observing(kernels);
  std::vector<Observed> observed;
  for (Site& site : sites_of(checkpoint_, layer)) {
    for (const Site::Consumer& consumer : site.consumers) {
      FATHOM_CHECK(writer_.check_finite(*consumer.weight));
    }
    const int64_t group = group_of(site);
    if (group == 0) continue;
    Observed entry;
    for (const std::string& name : site.inputs) {
      auto& input =
          entry.inputs.emplace_back(std::make_unique<InputStatistics>(site.width(), group, gptq));
      observing.watch(name, [statistics = input.get(), &kernels](const MatmulJob& job) {
        statistics->add(job, kernels);
      });
    }
    entry.site = std::move(site);
    observed.push_back(std::move(entry));
  }
  FATHOM_CHECK(runner_->run(checkpoint_, observing, layer, !gptq));
  for (Observed& entry : observed) fill_up(entry);
  if (moves_scales(options_.method)) {
    for (const Observed& entry : observed) search(entry);
  }
  writer_.begin_layer();
  for (const Observed& entry : observed) {
    FATHOM_CHECK(gptq ? write_gptq(entry) : write_awq(entry));
  }
  return {};
}

Status CalibratedQuantizer::pass_quantized(int64_t layer) {
  const std::vector<Tensor> replaced = writer_.written_of_layer();
  return runner_->run(OverlayCheckpoint(checkpoint_, replaced), writer_.kernels(), layer, true);
}

// 0: none of the site's matrices is quantised in groups.
int64_t CalibratedQuantizer::group_of(const Site& site) const {
  for (const Site::Consumer& consumer : site.consumers) {
    const DType type = writer_.planned(*consumer.weight).target;
    if (has_codec(type)) return judged_block(type);
  }
  return 0;
}

// A site of experts: those that few tokens reached are judged by what all experts' tokens were, as
// far as their own are too few; a matrix behind an expert's own activations has no others, and is
// taken to have inputs of equal size. What no token reached is left to rounding.
void CalibratedQuantizer::fill_up(Observed& entry) {
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
        ++unreached_;
        writer_.note(fmt::format("no calibration token reached {}: it is rounded to nearest",
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
bool CalibratedQuantizer::can_fold(const Site& site) const {
  const auto changeable = [&](const Tensor* tensor) {
    const PlannedTensor& planned = writer_.planned(*tensor);
    return !planned.as_is || is_plain(planned.target);
  };
  return std::ranges::all_of(site.consumers,
                             [&](const auto& consumer) { return changeable(consumer.weight); }) &&
         std::ranges::all_of(site.exact, changeable) &&
         std::ranges::all_of(site.producers, changeable);
}

void CalibratedQuantizer::search(const Observed& entry) {
  if (!can_fold(entry.site)) return;
  std::vector<const InputStatistics*> inputs;
  inputs.reserve(entry.inputs.size());
  for (const auto& input : entry.inputs) inputs.push_back(input.get());
  search_scales(
      entry.site, inputs, [this](const Tensor& tensor) { return writer_.planned(tensor).target; },
      writer_.positive_scales(), writer_.kernels().threads(), writer_.folds());
}

Status CalibratedQuantizer::write_awq(const Observed& entry) {
  for (const Site::Consumer& consumer : entry.site.consumers) {
    const PlannedTensor& planned = writer_.planned(*consumer.weight);
    const InputStatistics& input = *entry.inputs[consumer.input];
    if (planned.as_is || !has_codec(planned.target) || input.rows() == 0) continue;
    const std::vector<float>& columns = writer_.folds().of(*consumer.weight).columns;
    FATHOM_CHECK(
        with_codec(planned.target, writer_.positive_scales(), [&](const auto& codec) -> Status {
          return writer_.write_rows(planned, [&](float* values, int64_t rows, std::byte* out) {
            encode_clipped(codec, input, columns, values, rows, out);
          });
        }));
  }
  return {};
}

Status CalibratedQuantizer::write_gptq(const Observed& entry) {
  std::vector<std::unique_ptr<GptqRounder>> rounders(entry.inputs.size());
  for (const Site::Consumer& consumer : entry.site.consumers) {
    const PlannedTensor& planned = writer_.planned(*consumer.weight);
    const InputStatistics& input = *entry.inputs[consumer.input];
    if (planned.as_is || !has_codec(planned.target) || input.rows() == 0) continue;
    auto& rounder = rounders[consumer.input];
    if (rounder == nullptr) {
      auto made = GptqRounder::make(input, writer_.folds().of(*consumer.weight).columns,
                                    options_.act_order, writer_.kernels().threads());
      if (!made) return fail("{}: {}", planned.source->name, made.error().message);
      rounder = std::make_unique<GptqRounder>(*std::move(made));
    }
    FATHOM_CHECK(
        with_codec(planned.target, writer_.positive_scales(), [&](const auto& codec) -> Status {
          return writer_.write_rows(planned, [&](float* values, int64_t rows, std::byte* out) {
            rounder->encode_rows(codec, values, rows, out);
          });
        }));
  }
  return {};
}

Status CalibratedQuantizer::write_head() {
  const Tensor* head = checkpoint_.find("lm_head.weight");
  const bool tied = head == nullptr;
  if (tied) head = checkpoint_.find("model.embed_tokens.weight");
  const Tensor* norm = checkpoint_.find("model.norm.weight");
  if (head == nullptr || norm == nullptr) return {};
  const PlannedTensor& planned = writer_.planned(*head);
  if (planned.as_is || !has_codec(planned.target) || planned.target == DType::kQ8_0 ||
      planned.target == DType::kI8_128) {
    return {};
  }
  FATHOM_CHECK(writer_.check_finite(*head));
  const InputStatistics statistics = inputs_of_head(*head, *norm, tied);
  if (!makes_up_errors(options_.method)) {
    return with_codec(planned.target, writer_.positive_scales(), [&](const auto& codec) -> Status {
      return writer_.write_rows(planned, [&](float* values, int64_t count, std::byte* out) {
        encode_clipped(codec, statistics, {}, values, count, out);
      });
    });
  }
  auto rounder = GptqRounder::make(statistics, {}, options_.act_order, writer_.kernels().threads());
  if (!rounder) return fail("{}: {}", head->name, rounder.error().message);
  return with_codec(planned.target, writer_.positive_scales(), [&](const auto& codec) -> Status {
    return writer_.write_rows(planned, [&](float* values, int64_t count, std::byte* out) {
      rounder->encode_rows(codec, values, count, out);
    });
  });
}

// What the last layer gave, through the final norm. An embedding is looked up too, and then all its
// columns matter alike: half of the moments that it is judged by say that.
InputStatistics CalibratedQuantizer::inputs_of_head(const Tensor& head, const Tensor& norm,
                                                    bool tied) {
  const int64_t width = head.shape[1];
  InputStatistics statistics(width, judged_block(writer_.planned(head).target),
                             makes_up_errors(options_.method));
  std::vector<float> norm_weight(static_cast<size_t>(width));
  Folds().read(norm, 0, width, norm_weight.data());
  const std::vector<float>& stream = runner_->stream();
  const auto rows = static_cast<int64_t>(stream.size()) / width;
  std::vector<float> input(static_cast<size_t>(std::min(rows, kTokensAtOnce) * width));
  Kernels& kernels = writer_.kernels();
  for (int64_t row = 0; row < rows; row += kTokensAtOnce) {
    const int64_t count = std::min(kTokensAtOnce, rows - row);
    kernels.rms_norm(stream.data() + row * width, width, norm_weight.data(),
                     checkpoint_.config().norm_eps, count, width, input.data(), width);
    statistics.add({.x = input.data(), .x_stride = width, .rows = count}, kernels);
  }
  if (tied) statistics.add_plain(rows);
  return statistics;
}

}  // namespace fathom
