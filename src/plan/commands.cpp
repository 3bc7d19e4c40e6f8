#include "plan/commands.h"

#include <algorithm>
#include <cctype>

namespace fathom::plan {
namespace {

constexpr int64_t kMega = 1 << 20;

// As a shell takes it for one word.
std::string shell_word(std::string_view word) {
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_-./:@+=,").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return std::string(word);
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

// What -m is to name once the model is ready; empty where there are no weights to be had.
std::string model_argument(const ModelFacts& model) {
  if (model.on_disk) return shell_word(model.name);
  if (model.repository.empty()) return "";
  if (model.precision == model.published) return model.repository;
  if (model.precision == "bf16") return fmt::format("{}-bf16", model.name);
  return fmt::format("{}-{}.gguf", model.name, model.precision);
}

}  // namespace

std::vector<std::string> prepare_commands(const ModelFacts& model) {
  if (model.on_disk || model.repository.empty() || !model.runs_here) return {};
  std::vector<std::string> commands{fmt::format("fathom pull {}", model.repository)};
  if (model.precision == model.published) return commands;
  std::string how = "--method none --type bf16";
  if (model.precision != "bf16") {
    how = fmt::format("--format gguf --bits {} --embedding {}", model.precision == "q8_0" ? 8 : 4,
                      model.precision);
    // Of a tied model the embedding is the head.
    if (!model.config.tied_embeddings) how += fmt::format(" --head {}", model.precision);
  }
  commands.push_back(
      fmt::format("fathom quantize -m {} -o {} {}", model.repository, model_argument(model), how));
  return commands;
}

std::string serve_command(const Deployment& deployment, const Prediction& prediction) {
  const ModelFacts& model = deployment.model;
  if (!deployment.hardware.fathom_runs_here || !model.runs_here) return "";
  // A server of ours has one processor's machine and no links to others.
  if (deployment.tp * deployment.pp * deployment.dp() > 1) return "";
  const std::string name = model_argument(model);
  if (name.empty()) return "";
  const int64_t bytes = prediction.kv_tokens * model.cache_bytes_per_token(deployment.cache);
  std::string command =
      fmt::format("fathom serve -m {} --context {} --kv-cache {} --kv-memory {}M --max-running {}",
                  name, deployment.context, fathom::name(deployment.cache),
                  (bytes + kMega - 1) / kMega, deployment.max_running);
  if (deployment.replicas > 1) {
    command += fmt::format("  # on each of {} machines", deployment.replicas);
  }
  return command;
}

std::string no_command_reason(const Deployment& deployment) {
  const bool divided = deployment.tp * deployment.pp * deployment.dp() > 1;
  if (!deployment.hardware.fathom_runs_here) {
    return divided ? "Fathom does not run on this hardware, nor divides a model among devices"
                   : "Fathom does not run on this hardware";
  }
  if (divided) return "Fathom does not divide a model among devices";
  if (!deployment.model.runs_here) return "Fathom cannot run this model";
  return "there is a configuration, but no weights";
}

}  // namespace fathom::plan
