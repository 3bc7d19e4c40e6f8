// fathom quantize: a checkpoint made smaller.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/input_file.h"
#include "cli/model_options.h"
#include "cli/serve_options.h"
#include "cli/terminal.h"
#include "compress/calibration.h"
#include "compress/quantize.h"
#include "compress/rearranged_checkpoint.h"
#include "text/tokenizer.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kDefaultTokens = 16384;

struct QuantizeCommand {
  ModelOptions model;
  std::string output;
  std::string method;
  std::string type;
  std::string format;
  std::string embedding;
  std::string head;
  std::string calibration;
  int64_t calibration_tokens = kDefaultTokens;
  int64_t window = 512;
  int group = 0;
  std::optional<double> target_bits = {};
  std::string target_size;
  bool json = false;
  QuantizeOptions options;
};

Result<DType> type_named(std::string name, std::string_view flag) {
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0,
                           DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ2_K, DType::kQ3_K,
                           DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    if (fathom::name(type) == name) return type;
  }
  return usage_error(
      "{} is {}; it must be f32, f16, bf16, q8_0, q6_k, q5_k, q5_0, q5_1, q4_k, q4_0, q4_1, q3_k "
      "or q2_k.",
      flag, name);
}

Result<OutputFormat> format_named(const std::string& name, const Checkpoint& source) {
  if (name.empty()) return is_gguf(source) ? OutputFormat::kGguf : OutputFormat::kHuggingFace;
  if (name == "gguf") return OutputFormat::kGguf;
  if (name == "hf") return OutputFormat::kHuggingFace;
  if (name == "awq") return OutputFormat::kAwq;
  return usage_error("--format is {}; it must be gguf, hf or awq.", name);
}

Result<QuantizeMethod> method_named(const std::string& name) {
  if (name == "none") return QuantizeMethod::kNone;
  if (name == "rtn") return QuantizeMethod::kRtn;
  if (name == "awq") return QuantizeMethod::kAwq;
  if (name == "gptq") return QuantizeMethod::kGptq;
  if (name == "awq-gptq") return QuantizeMethod::kAwqGptq;
  return usage_error("--method is {}; it must be none, rtn, awq, gptq or awq-gptq.", name);
}

// With --method none, the plain type that all becomes; otherwise GGUF's type of matrices.
Status read_type(QuantizeCommand& command) {
  QuantizeOptions& options = command.options;
  const bool plain = options.method == QuantizeMethod::kNone;
  if (command.type.empty()) {
    if (!plain) return {};
    return usage_error("--method none only converts: say to what, by --type f32, f16 or bf16.");
  }
  FATHOM_TRY(const DType type, type_named(command.type, "--type"));
  if (plain) {
    options.plain = type;
    return {};
  }
  if (!info(type).quantized) {
    return usage_error("--type {} rounds nothing: it is for --method none.", command.type);
  }
  if (options.bits != 4 || command.group != 0 || options.zero_points) {
    return usage_error("--type {} says it all: leave --bits, --group and --zero-points out.",
                       command.type);
  }
  options.type = type;
  return {};
}

Status read_flags(QuantizeCommand& command) {
  FATHOM_CHECK(validate(command.model));
  QuantizeOptions& options = command.options;
  if (options.bits == 16) {
    if (command.method.empty()) command.method = "none";
    if (command.method != "none") {
      return usage_error("--bits 16 rounds nothing: leave --method {} out.", command.method);
    }
    if (command.type.empty()) command.type = "f16";
  }
  if (command.method.empty()) command.method = "rtn";
  FATHOM_TRY(options.method, method_named(command.method));
  options.threads = command.model.threads;
  FATHOM_CHECK(read_type(command));
  if (!command.embedding.empty()) {
    FATHOM_TRY(options.embedding, type_named(command.embedding, "--embedding"));
  }
  if (!command.head.empty()) {
    FATHOM_TRY(options.head, type_named(command.head, "--head"));
  }
  if (command.target_bits && !command.target_size.empty()) {
    return usage_error("--target-bits and --target-size are two budgets: say one.");
  }
  if (command.target_bits) {
    if (!(*command.target_bits > 0 && *command.target_bits <= 16)) {
      return usage_error("--target-bits is {}; it must be more than 0 and at most 16.",
                         *command.target_bits);
    }
    options.target_bits = command.target_bits;
  }
  if (!command.target_size.empty()) {
    FATHOM_TRY(options.target_bytes, parse_bytes(command.target_size, "--target-size"));
  }
  if (!needs_text(options.method) && !command.calibration.empty()) {
    return usage_error("--calibration is for --method awq, gptq and awq-gptq: {} uses no text.",
                       command.method);
  }
  if (command.window < 2 || command.calibration_tokens < command.window) {
    return usage_error(
        "--calibration-window is {} and --calibration-tokens {}: a window has at least 2 tokens, "
        "and there must be room for one.",
        command.window, command.calibration_tokens);
  }
  return {};
}

Status read_calibration(QuantizeCommand& command, const Checkpoint& checkpoint) {
  const TextSource& source = checkpoint.text();
  if (source.tokenizer_json.empty() && !source.gguf) {
    return fail("{} has no tokenizer, so it cannot read a calibration text. Use --method rtn.",
                checkpoint.path().string());
  }
  FATHOM_TRY(const auto tokenizer, Tokenizer::make(source));
  const bool own = !command.calibration.empty();
  std::string text(default_calibration_text());
  if (own) {
    FATHOM_TRY(text, read_input_file(command.calibration));
  }
  const std::string name = own ? command.calibration : "The calibration text";
  FATHOM_TRY(const auto documents, calibration_documents(text, name));
  const int64_t window = std::min(command.window, checkpoint.config().context);
  FATHOM_TRY(command.options.calibration,
             calibration_windows(*tokenizer, documents, window, command.calibration_tokens, name));
  return {};
}

// A line with the share done and the time left: on a terminal only.
class TimeLeft {
 public:
  ~TimeLeft() {
    if (shown_ >= 0) note("\r\033[K");
  }
  void show(double fraction) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const int percent = static_cast<int>(fraction * 100);
    if (first_ < 0) first_ = fraction;  // an earlier run may have done a part
    const double done = fraction - first_;
    if (!is_terminal(Stream::kError) || seconds < 1 || percent == shown_ || done <= 0) return;
    shown_ = percent;
    note(fmt::format("\r\033[KQuantising: {}%  {} left", percent,
                     format_duration(seconds * (1 - fraction) / done)));
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  int shown_ = -1;
  double first_ = -1;
};

void print_report(const QuantizeCommand& command, const Checkpoint& checkpoint,
                  const QuantizeReport& report, double seconds) {
  if (command.json) {
    const Json json = {{"output", command.output},
                       {"method", command.method},
                       {"bytes", report.bytes},
                       {"parameters", report.parameters},
                       {"bits_per_weight", report.bits_per_weight},
                       {"quantized_matrices", report.quantized},
                       {"calibration_tokens", report.tokens},
                       {"unreached_matrices", report.unreached},
                       {"seconds", seconds}};
    print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    return;
  }
  int64_t before = 0;
  for (const Tensor& tensor : checkpoint.tensors()) before += tensor.bytes;
  print(fmt::format("{}\n{} of weights became {}: {:.2f} bits a weight, in {}\n", command.output,
                    format_bytes(before), format_bytes(report.bytes), report.bits_per_weight,
                    format_duration(seconds)));
}

Result<int> run_quantize(QuantizeCommand command) {
  FATHOM_CHECK(read_flags(command));
  FATHOM_TRY(const auto path, find_model(command.model));
  FATHOM_TRY(const auto checkpoint, Checkpoint::open(path));
  FATHOM_TRY(const OutputFormat format, format_named(command.format, *checkpoint));
  command.options.group =
      command.group != 0 ? command.group : (format == OutputFormat::kGguf ? 32 : 128);
  if (needs_text(command.options.method)) FATHOM_CHECK(read_calibration(command, *checkpoint));
  const auto start = std::chrono::steady_clock::now();
  const InterruptScope interrupt;
  QuantizeReport report;
  {
    TimeLeft left;
    command.options.on_progress = [&](double fraction) {
      left.show(fraction);
      return !interrupt.requested();
    };
    command.options.on_note = [](std::string_view text) {
      note(fmt::format("fathom: {}\n", text));
    };
    FATHOM_TRY(report, quantize(*checkpoint, command.output, format, command.options));
  }
  print_report(command, *checkpoint, report,
               std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return 0;
}

}  // namespace

void add_quantize(CLI::App& app, Chosen& chosen) {
  auto* command = app.add_subcommand("quantize", "make a checkpoint smaller");
  auto options = std::make_shared<QuantizeCommand>();
  add_model_option(*command, options->model);
  command->add_option("-o,--output", options->output, "where the result goes")
      ->type_name("PATH")
      ->required();
  command
      ->add_option(
          "--method", options->method,
          "rtn: round to nearest; awq, gptq: with a calibration text; awq-gptq: both; none: "
          "only convert to --type")
      ->type_name("rtn|awq|gptq|awq-gptq|none");
  command
      ->add_option("--format", options->format,
                   "gguf: a GGUF file; hf: a Hugging Face directory (compressed-tensors); awq: one "
                   "in AutoAWQ's layout; the source's kind if left out")
      ->type_name("gguf|hf|awq");
  command
      ->add_option("--bits", options->options.bits,
                   "bits of a weight (4); 16: --method none --type f16")
      ->type_name("4|8|16");
  command
      ->add_option("--group", options->group,
                   "weights that share a scale; GGUF: 32; otherwise 128 if left out")
      ->type_name("32|64|128");
  command->add_flag("--zero-points", options->options.zero_points,
                    "INT4 with zero points (GGUF: minima, Q4_1)");
  command
      ->add_option("--target-bits", options->target_bits,
                   "mixed precision: at most this many bits a weight over all matrices, the "
                   "embedding and the head; spent where they lose least")
      ->type_name("BITS");
  command
      ->add_option("--target-size", options->target_size,
                   "mixed precision: files of at most this size, such as 3.2GB")
      ->type_name("SIZE");
  command
      ->add_option(
          "--type", options->type,
          "the type of matrices: with --method none f32, f16 or bf16; otherwise, in a GGUF "
          "file, q2_k to q6_k, q4_0, q4_1, q5_0, q5_1 or q8_0, in place of --bits")
      ->type_name("TYPE");
  command->add_option("--embedding", options->embedding, "type of the embedding (GGUF: q8_0)")
      ->type_name("TYPE");
  command->add_option("--head", options->head, "type of the output head (GGUF: q8_0)")
      ->type_name("TYPE");
  command
      ->add_option("--keep", options->options.keep,
                   "leave matrices whose names contain this as they are; may be repeated")
      ->type_name("TEXT")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_flag("--requantize", options->options.requantize,
                    "take a source that is quantised already, and lose twice");
  command
      ->add_option("--calibration", options->calibration,
                   "UTF-8 text or JSON Lines (\"text\" or \"messages\") for awq and gptq; a text "
                   "that ships with fathom if left out; -: standard input")
      ->type_name("FILE");
  command
      ->add_option("--calibration-tokens", options->calibration_tokens,
                   fmt::format("most tokens of it to use ({})", kDefaultTokens))
      ->type_name("N");
  command->add_option("--calibration-window", options->window, "tokens read at a time (512)")
      ->type_name("N");
  command->add_flag("--act-order", options->options.act_order,
                    "gptq: round the columns with the largest inputs first");
  command->add_option("--threads", options->model.threads, "threads to compute with; 0: all cores")
      ->type_name("N");
  command->add_flag("--json", options->json, "print one JSON object");
  command->footer(
      "Examples:\n"
      "  fathom quantize -m model-f16.gguf -o model-q4.gguf --method awq\n"
      "  fathom quantize -m model-f16.gguf -o model-q8.gguf --bits 8\n"
      "  fathom quantize -m model-f16.gguf -o model-q4.gguf --method awq --type q4_k\n"
      "  fathom quantize -m model-f16.gguf -o model-mixed.gguf --method awq --target-bits 5\n"
      "  fathom quantize -m checkpoint/ -o checkpoint-int4/ --method gptq --group 64\n"
      "  fathom quantize -m checkpoint/ -o checkpoint-awq/ --method awq --format awq\n"
      "  fathom quantize -m checkpoint/ -o model-bf16.gguf --format gguf --method none --type "
      "bf16\n"
      "  fathom quantize -m model-q4.gguf -o checkpoint/ --format hf --bits 16");
  command->callback(
      [&chosen, options] { chosen.action = [options] { return run_quantize(*options); }; });
}

}  // namespace fathom::cli
