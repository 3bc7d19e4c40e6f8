#include "engine/engine.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/freed_memory.h"
#include "checkpoint/describe.h"
#include "checkpoint/lora_adapter.h"
#include "checkpoint/stored_temperature.h"
#include "engine/calibration.h"
#include "layers/lora.h"
#include "models/logit_temperature.h"

namespace fathom {

namespace {

ModelInfo describe_engine(const Engine& engine) {
  const ModelConfig& config = engine.checkpoint->config();
  const CheckpointDescription facts = describe(*engine.checkpoint);
  ModelInfo info;
  info.name = config.model_name;
  info.architecture = config.architecture;
  info.tier = name(facts.tier);
  info.kernels = engine.kernels->name();
  info.parameters = facts.parameters;
  info.active_parameters = facts.active_parameters;
  info.context = config.context;
  info.vocab_size = config.vocab_size;
  info.weight_bytes = engine.model->weight_bytes();
  info.cache_bytes_per_token = engine.model->cache_layout().bytes_per_token();
  info.threads = engine.kernels->threads().size();
  info.has_tokenizer = engine.tokenizer != nullptr;
  info.has_chat_template = engine.chat_template != nullptr;
  return info;
}

Status load_text(Engine& engine, const LoadOptions& options) {
  const TextSource& source = engine.checkpoint->text();
  if (!source.tokenizer_json.empty() || source.gguf) {
    FATHOM_TRY(engine.tokenizer, Tokenizer::make(source));
    if (engine.tokenizer->vocab_size() > engine.checkpoint->config().vocab_size) {
      return fail(
          "{}: the tokenizer has {} tokens and the model's vocabulary {}. They do not "
          "belong together.",
          engine.checkpoint->path().string(), engine.tokenizer->vocab_size(),
          engine.checkpoint->config().vocab_size);
    }
  }
  const std::string& chat_template =
      options.chat_template.empty() ? source.chat_template : options.chat_template;
  if (!chat_template.empty()) {
    // A broken template still leaves bare prompts: the error waits for the first chat.
    auto made = ChatTemplate::make(chat_template);
    if (made) {
      engine.chat_template = *std::move(made);
      engine.tool_format = tool_format_of(chat_template);
      engine.arguments_as_text = wants_arguments_as_text(chat_template);
    } else if (!options.chat_template.empty()) {
      return fail("The chat template cannot be read: {}", made.error().message);
    } else {
      engine.chat_template_error = made.error().message;
    }
  }
  engine.end_tokens = engine.checkpoint->generation().eos_tokens;
  if (engine.tokenizer && engine.tokenizer->eos_token()) {
    engine.end_tokens.push_back(*engine.tokenizer->eos_token());
  }
  return {};
}

// The calls of an earlier turn, as the template wants them.
nlohmann::ordered_json shown_calls(const std::string& calls, bool arguments_as_text) {
  using Json = nlohmann::ordered_json;
  Json list = Json::parse(calls, nullptr, false);
  if (!list.is_array()) return Json::array();
  if (arguments_as_text) return list;
  for (Json& call : list) {
    if (!call.is_object() || !call.contains("function")) continue;
    Json& function = call["function"];
    if (!function.is_object() || !function.contains("arguments")) continue;
    Json& arguments = function["arguments"];
    if (!arguments.is_string()) continue;
    // What a model wrote need not be JSON; then it is shown as it is.
    Json object = Json::parse(arguments.get_ref<const std::string&>(), nullptr, false);
    if (object.is_object()) arguments = std::move(object);
  }
  return list;
}

nlohmann::ordered_json shown_message(const Message& message, bool arguments_as_text) {
  nlohmann::ordered_json entry = {{"role", message.role}, {"content", message.content}};
  if (!message.reasoning_content.empty()) entry["reasoning_content"] = message.reasoning_content;
  if (!message.tool_call_id.empty()) entry["tool_call_id"] = message.tool_call_id;
  if (!message.tool_calls.empty()) {
    entry["tool_calls"] = shown_calls(message.tool_calls, arguments_as_text);
    // Templates tell calls from words by it.
    if (message.content.empty()) entry["content"] = nullptr;
  }
  return entry;
}

}  // namespace

std::optional<CacheType> cache_type(CacheFormat format) {
  switch (format) {
    case CacheFormat::kAuto:
      return std::nullopt;
    case CacheFormat::kF16:
      return CacheType::kF16;
    case CacheFormat::kBF16:
      return CacheType::kBF16;
    case CacheFormat::kInt8:
      return CacheType::kInt8;
  }
  return std::nullopt;
}

Result<std::shared_ptr<Engine>> Engine::load(const std::filesystem::path& path,
                                             const LoadOptions& options) {
  auto engine = std::make_shared<Engine>();
  FATHOM_TRY(engine->checkpoint, Checkpoint::open(path));
  FATHOM_CHECK(load_text(*engine, options));
  const auto choice =
      options.kernels == KernelSet::kReference ? KernelChoice::kReference : KernelChoice::kAuto;
  ThreadOptions threads(options.threads);
  threads.pin = options.pin_threads;
  threads.numa = options.numa;
  engine->kernels = Kernels::make(choice, threads);
  ModelLoadOptions load_options;
  load_options.mtp = options.mtp;
  load_options.cache_type = cache_type(options.cache_format);
  load_options.on_progress = options.on_progress;
  if (!options.packed_cache.empty()) {
    PackedCacheOptions cache;
    cache.folder = options.packed_cache;
    cache.limit_bytes = options.packed_cache_bytes;
    cache.on_note = options.on_note;
    engine->packed_cache = std::make_unique<PackedCache>(std::move(cache));
    load_options.packed_cache = engine->packed_cache.get();
  }
  FATHOM_TRY(engine->model,
             LanguageModel::load(*engine->checkpoint, *engine->kernels, load_options));
  FATHOM_TRY(const auto temperature, stored_temperature(*engine->checkpoint));
  if (temperature) set_logit_temperature(*engine->model, *temperature);
  engine->info = describe_engine(*engine);
  if (!options.adapter.empty()) {
    FATHOM_TRY(engine->adapter, engine->load_adapter(options.adapter));
  }
  // A tokenizer's JSON takes as much again as the tokenizer.
  return_freed_memory();
  return engine;
}

void forget_calibration(const Model& model) {
  Engine& engine = *model.impl()->engine;
  const std::lock_guard lock(engine.compute);
  set_logit_temperature(*engine.model, {});
}

Result<std::shared_ptr<const LoraWeights>> Engine::load_adapter(const std::filesystem::path& path) {
  FATHOM_TRY(const LoraAdapter read, read_lora_adapter(path, *checkpoint));
  const std::lock_guard lock(compute);
  return LoraWeights::make(read, checkpoint->config(), model->lora_sites(), *kernels);
}

Result<const Tokenizer*> Engine::need_tokenizer() const {
  if (tokenizer == nullptr) {
    return fail(
        "{} has no tokenizer, so it can only continue token ids. Put the model's "
        "tokenizer.json beside its weights.",
        checkpoint->path().string());
  }
  return tokenizer.get();
}

Result<std::string> Engine::render(const std::vector<Message>& messages, bool add_generation_prompt,
                                   const Tokenizer* guard, const std::string& tools) const {
  FATHOM_TRY(const Tokenizer* words, need_tokenizer());
  if (chat_template == nullptr) {
    if (!chat_template_error.empty()) {
      return fail("The chat template of {} cannot be read: {} Use a bare prompt (--raw).",
                  checkpoint->path().string(), chat_template_error);
    }
    return fail(
        "{} has no chat template: it is not made for conversation. Use a bare prompt "
        "(--raw).",
        checkpoint->path().string());
  }
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Message& message : messages) {
    list.push_back(shown_message(message, arguments_as_text));
  }
  ChatTemplateInput input;
  input.messages_json = list.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  input.tools_json = tools;
  input.add_generation_prompt = add_generation_prompt;
  input.bos_text = words->bos_text();
  input.eos_text = words->eos_text();
  input.tokenizer = guard;
  return chat_template->render(input);
}

bool Engine::ends_answer(int32_t token) const {
  return std::find(end_tokens.begin(), end_tokens.end(), token) != end_tokens.end();
}

Result<std::shared_ptr<const ConstraintVocabulary>> Engine::constraint_vocabulary() const {
  FATHOM_TRY(const Tokenizer* words, need_tokenizer());
  const std::lock_guard lock(constraints_mutex_);
  if (!constraints_) {
    FATHOM_TRY(constraints_, ConstraintVocabulary::make(*words, info.vocab_size, end_tokens));
  }
  return constraints_;
}

std::expected<std::shared_ptr<const Constraint>, FormatError> Engine::compile(
    const AnswerFormat& format) const {
  auto vocabulary = constraint_vocabulary();
  if (!vocabulary) return std::unexpected(FormatError{.message = vocabulary.error().message});
  return Constraint::compile(*std::move(vocabulary), format);
}

Status Engine::check_tokens(std::span<const int32_t> tokens) const {
  for (const int32_t token : tokens) {
    if (token < 0 || token >= info.vocab_size) {
      return fail("The token id {} is outside the vocabulary: ids go from 0 to {}.", token,
                  info.vocab_size - 1);
    }
  }
  return {};
}

}  // namespace fathom
