// fathom::Model: the public handle to an Engine.
#include "checkpoint/checkpoint.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "fathom/fathom.h"

namespace fathom {

Result<Model> Model::load(const std::string& path, const LoadOptions& options) {
  FATHOM_TRY(auto engine, Engine::load(path, options));
  return Model(std::make_shared<Impl>(Impl{std::move(engine)}));
}

const ModelInfo& Model::info() const {
  return impl_->engine->info;
}

Result<std::vector<int32_t>> Model::tokenize(std::string_view text, bool parse_special,
                                             bool add_special_tokens) const {
  FATHOM_TRY(const Tokenizer* tokenizer, impl_->engine->need_tokenizer());
  return tokenizer->encode(text, parse_special ? SpecialText::kParse : SpecialText::kPlain,
                           add_special_tokens);
}

Result<std::string> Model::detokenize(const std::vector<int32_t>& tokens) const {
  FATHOM_TRY(const Tokenizer* tokenizer, impl_->engine->need_tokenizer());
  FATHOM_CHECK(impl_->engine->check_tokens(tokens));
  return tokenizer->decode(tokens);
}

Result<std::string> Model::render_chat(const std::vector<Message>& messages,
                                       bool add_generation_prompt) const {
  return impl_->engine->render(messages, add_generation_prompt);
}

SamplingOptions Model::recommended_sampling() const {
  const GenerationDefaults& advice = impl_->engine->checkpoint->generation();
  SamplingOptions options;
  options.temperature = advice.temperature.value_or(options.temperature);
  options.top_k = advice.top_k.value_or(options.top_k);
  options.top_p = advice.top_p.value_or(options.top_p);
  return validate(options) ? options : SamplingOptions{};
}

}  // namespace fathom
