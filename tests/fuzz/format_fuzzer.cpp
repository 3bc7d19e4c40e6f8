// What binds an answer: formats and tools of a chat's body, and bare schemas, expressions and
// grammars, compiled, and answers of tokens that their masks allow. The first byte says which, the
// second how tokens are drawn.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "serve/served_model.h"

namespace {

using namespace fathom;
using Json = nlohmann::ordered_json;

constexpr int32_t kTokens = 260;
constexpr int32_t kEnd = 256;
constexpr int kMostTokens = 48;
constexpr size_t kLongest = 4096;

// As GPT-2's tokenizer spells a byte.
std::string spelling(int byte) {
  const bool itself = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
  static int next = 0x100;
  const int code = itself ? byte : next++;
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

// A token for each byte, an end, and the marks of tool calls as Qwen has them.
std::string tokenizer_json() {
  Json vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary[spelling(byte)] = byte;
  Json added = Json::array();
  int32_t id = kEnd;
  for (const char* text : {"</s>", "<tool_call>", "</tool_call>", "<think>"}) {
    vocabulary[text] = id;
    added.push_back({{"id", id++},
                     {"content", text},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  return Json{{"version", "1.0"},
              {"added_tokens", added},
              {"pre_tokenizer", bytes},
              {"decoder", bytes},
              {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}}
      .dump();
}

// Without weights: nothing is computed.
serve::ServedModel make_model(ToolFormat format) {
  TextSource source;
  source.tokenizer_json = tokenizer_json();
  auto engine = std::make_shared<Engine>();
  auto tokenizer = Tokenizer::make(source);
  if (!tokenizer) {
    std::fprintf(stderr, "%s\n", tokenizer.error().message.c_str());
    std::abort();
  }
  engine->tokenizer = *std::move(tokenizer);
  engine->info.vocab_size = kTokens;
  engine->end_tokens = {kEnd};
  return {
      .name = "model", .engine = engine, .serving = {}, .recommended = {}, .tool_format = format};
}

// A mask without tokens is no answer's beginning, and what a mask allows must be accepted. A step
// that would cost too much may be refused.
void draw(const Constraint& constraint, uint32_t random) {
  const auto state = constraint.start();
  for (int i = 0; i < kMostTokens && !state->complete(); ++i) {
    const auto mask = state->mask();
    if (!mask) return;
    std::vector<int32_t> allowed;
    allowed.reserve(kTokens);
    for (int32_t token = 0; token < kTokens; ++token) {
      if (mask_allows(*mask, token)) allowed.push_back(token);
    }
    if (allowed.empty()) std::abort();
    random = random * 1664525 + 1013904223;
    const int32_t token = allowed[(random >> 16) % allowed.size()];
    if (token == kEnd) return;
    if (const Status accepted = state->accept(token); !accepted) {
      std::fprintf(stderr, "%s\n", accepted.error().message.c_str());
      if (accepted.error().message.contains("took")) return;
      std::abort();
    }
  }
}

void chat(std::string_view body, uint32_t random) {
  static const serve::ServedModel models[] = {make_model(ToolFormat::kHermes),
                                              make_model(ToolFormat::kJson)};
  const auto wanted = serve::parse_chat_request(body);
  if (!wanted) return;
  for (const auto& model : models) {
    const auto format = model.constraint(wanted->generation, "response_format");
    if (format && *format) draw(**format, random);
    Request request;
    const auto tools = model.offer_tools(wanted->tools, wanted->generation.format, request);
    if (tools && request.constraint) draw(*request.constraint, random);
  }
}

void bare(AnswerFormat::Kind kind, std::string_view text, uint32_t random) {
  static const serve::ServedModel model = make_model(ToolFormat::kHermes);
  const auto compiled = model.engine->compile({.kind = kind, .text = std::string(text)});
  if (compiled) draw(**compiled, random);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2 || size > kLongest) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  switch (data[0] % 4) {
    case 0:
      chat(text, data[1]);
      break;
    case 1:
      bare(AnswerFormat::Kind::kJsonSchema, text, data[1]);
      break;
    case 2:
      bare(AnswerFormat::Kind::kRegex, text, data[1]);
      break;
    default:
      bare(AnswerFormat::Kind::kGrammar, text, data[1]);
      break;
  }
  return 0;
}
