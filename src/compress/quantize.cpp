#include "compress/quantize.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/fingerprint.h"
#include "checkpoint/identity.h"
#include "compress/budget.h"
#include "compress/calibrated_quantizer.h"
#include "compress/journal.h"
#include "compress/rearranged_checkpoint.h"
#include "compress/tensor_writer.h"
#include "compress/weight_output.h"

namespace fathom {

namespace {

// Layer by layer, what was finished before being left alone; then what belongs to no layer.
Status write_all(const Checkpoint& checkpoint, const QuantizeOptions& options,
                 QuantizeJournal& journal, TensorWriter& writer, QuantizeReport& report) {
  std::unique_ptr<CalibratedQuantizer> calibrated;
  if (needs_text(options.method)) {
    FATHOM_TRY(calibrated, CalibratedQuantizer::make(checkpoint, options, writer));
    report.tokens = calibrated->tokens();
  }
  if (journal.layers() > 0) {
    if (calibrated && !calibrated->set_stream(journal.stream())) {
      return fail("{} is damaged: remove it.", journal.folder().string());
    }
    if (calibrated) calibrated->set_unreached(journal.unreached());
    writer.take_up_layers();
  }
  for (int64_t layer = journal.layers(); layer < checkpoint.config().layers; ++layer) {
    if (calibrated) FATHOM_CHECK(calibrated->quantize_layer(layer));
    FATHOM_CHECK(writer.write_rest_of(layer));
    if (makes_up_errors(options.method)) FATHOM_CHECK(calibrated->pass_quantized(layer));
    FATHOM_CHECK(calibrated ? writer.finish_layer(calibrated->unreached(), calibrated->stream())
                            : writer.finish_layer(0, {}));
  }
  if (calibrated) {
    FATHOM_CHECK(calibrated->write_head());
    report.unreached = calibrated->unreached();
  }
  return writer.write_rest();
}

void count_bits(const std::vector<PlannedTensor>& plan, QuantizeReport& report) {
  double bits = 0;
  for (const PlannedTensor& tensor : plan) {
    if (tensor.source->shape.rank() < 2 || tensor.role == TensorRole::kOther) continue;
    report.parameters += tensor.source->shape.elements();
    bits += 8.0 * static_cast<double>(byte_size(tensor.target, tensor.source->shape.elements()));
    if (tensor.role == TensorRole::kMatrix && !is_plain(tensor.target)) ++report.quantized;
  }
  report.bits_per_weight = bits / static_cast<double>(std::max<int64_t>(report.parameters, 1));
}

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
  TensorWriter writer(checkpoint, path, format, options, std::move(plan), *std::move(output),
                      journal);
  QuantizeReport report;
  FATHOM_CHECK(write_all(checkpoint, options, journal, writer, report));
  FATHOM_TRY(report.bytes, writer.commit());
  count_bits(writer.plan(), report);
  return report;
}

}  // namespace fathom
