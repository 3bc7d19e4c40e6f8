// POST /v1/load_lora_adapter and /v1/unload_lora_adapter, as vLLM has them: adapters that come and
// go while the server runs. Only from the folder that --lora-folder names, and only for those who
// have a key or, where none is asked for, sit at this machine.
#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <filesystem>
#include <utility>

#include "base/quote.h"
#include "engine/engine.h"
#include "serve/answer_json.h"
#include "serve/api.h"
#include "serve/fields.h"
#include "serve/request_parts.h"

namespace fathom::serve {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostAdapters = 1024;
constexpr size_t kLongestName = 128;

bool is_this_machine(const std::string& peer) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(peer, error);
  if (error) return false;
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6())
        .is_loopback();
  }
  return address.is_loopback();
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

bool lies_in(const fs::path& path, const fs::path& folder) {
  const auto [end, rest] = std::ranges::mismatch(folder, path);
  return end == folder.end();
}

// Where an adapter lies, if it lies in the folder. What is outside is not looked at, so that nobody
// learns what is there.
ApiResult<fs::path> place_of(const std::string& wanted, const fs::path& folder) {
  const auto outside = [&] {
    return bad_request(
        "lora_path",
        "lora_path is {}; it must name a directory in the folder that the server was "
        "given for adapters.",
        in_quotes(wanted));
  };
  if (wanted.empty() || wanted.find('\0') != std::string::npos) return outside();
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) {
    return std::unexpected(ApiError{.status = 500,
                                    .message = fmt::format("The folder for adapters cannot be "
                                                           "read: {}.",
                                                           error.message())});
  }
  const fs::path plain = (root / wanted).lexically_normal();
  const bool named_inside = lies_in(plain, root) || lies_in(plain, folder.lexically_normal());
  if (!named_inside) return outside();
  fs::path real = fs::canonical(plain, error);
  if (error) {
    return bad_request("lora_path", "There is no {} in the folder for adapters.",
                       in_quotes(wanted));
  }
  if (!lies_in(real, root)) return outside();  // by a link
  return real;
}

}  // namespace

ApiStatus Api::may_change_adapters(const ApiCall& call) const {
  if (parts_.adapter_folder.empty()) {
    return std::unexpected(
        ApiError{.status = 403,
                 .message = "This server takes no adapters while it runs (--lora-folder).",
                 .code = "adapters_off"});
  }
  if (!parts_.needs_keys && !is_this_machine(call.request.peer)) {
    return std::unexpected(
        ApiError{.status = 403,
                 .message = "Without API keys, only this machine itself may change adapters.",
                 .code = "adapters_off"});
  }
  return {};
}

// "NAME" or "MODEL:NAME".
ApiResult<Api::AdapterName> Api::adapter_name(const std::string& text) const {
  const size_t colon = text.rfind(':');
  AdapterName name;
  name.adapter = colon == std::string::npos ? text : text.substr(colon + 1);
  if (!is_name(name.adapter)) {
    return bad_request("lora_name",
                       "lora_name is {}; a name has 1 to {} letters, digits and -_. and may follow "
                       "a model's and a colon.",
                       in_quotes(text), kLongestName);
  }
  std::vector<ModelList::Entry> models = parts_.models->all();
  std::erase_if(models, [](const auto& model) { return model->adapter != nullptr; });
  if (colon == std::string::npos) {
    if (models.size() > 1) {
      return bad_request("lora_name", "{} models are served. Say which: \"MODEL:{}\".",
                         models.size(), name.adapter);
    }
    name.model = models.front();
    return name;
  }
  const std::string model_name = text.substr(0, colon);
  for (const auto& model : models) {
    if (model->name == model_name) name.model = model;
  }
  if (name.model) return name;
  return std::unexpected(
      ApiError{.status = 404,
               .message = fmt::format("No model {} is served.", in_quotes(model_name)),
               .param = "lora_name",
               .code = "model_not_found"});
}

ApiStatus Api::load_adapter(ApiCall& call) {
  FATHOM_CHECK(may_change_adapters(call));
  return run_later(call, [this](const ApiCall& later) { return load_adapter_now(later); });
}

ApiStatus Api::load_adapter_now(const ApiCall& call) {
  FATHOM_TRY(const OrderedJson body, parse_body(call.request.body));
  FATHOM_TRY(Fields fields, Fields::of(body));
  FATHOM_TRY(const auto wanted_name, fields.string("lora_name"));
  FATHOM_TRY(const auto wanted_path, fields.string("lora_path"));
  FATHOM_CHECK(fields.unknown());
  if (!wanted_name) return bad_request("lora_name", "lora_name is missing.");
  if (!wanted_path) return bad_request("lora_path", "lora_path is missing.");
  FATHOM_TRY(const AdapterName name, adapter_name(*wanted_name));
  ServedModel adapted = *name.model;
  adapted.name = fmt::format("{}:{}", name.model->name, name.adapter);
  const auto taken = [&] {
    return bad_request("lora_name", "There is an adapter {} already. Unload it first.",
                       in_quotes(adapted.name));
  };
  if (parts_.models->find(adapted.name)) return taken();
  if (std::ssize(parts_.models->all()) >= kMostAdapters) {
    return bad_request("lora_name", "There are {} adapters, as many as may be.", kMostAdapters);
  }
  FATHOM_TRY(const fs::path place, place_of(*wanted_path, parts_.adapter_folder));
  auto loaded = name.model->engine->load_adapter(place);
  if (!loaded) return bad_request("lora_path", "{}", loaded.error().message);
  adapted.adapter = *std::move(loaded);
  const std::string id = adapted.name;
  if (!parts_.models->add(std::move(adapted))) return taken();
  parts_.log->info(
      "adapter loaded",
      {{"id", call.id}, {"model", id}, {"path", place.string()}, {"key", call.pass->key()}});
  return models(call, id);
}

ApiStatus Api::unload_adapter(ApiCall& call) {
  FATHOM_CHECK(may_change_adapters(call));
  FATHOM_TRY(const OrderedJson body, parse_body(call.request.body));
  FATHOM_TRY(Fields fields, Fields::of(body));
  FATHOM_TRY(const auto wanted_name, fields.string("lora_name"));
  FATHOM_CHECK(fields.unknown());
  if (!wanted_name) return bad_request("lora_name", "lora_name is missing.");
  FATHOM_TRY(const AdapterName name, adapter_name(*wanted_name));
  const std::string id = fmt::format("{}:{}", name.model->name, name.adapter);
  if (!parts_.models->remove_adapter(id)) {
    return std::unexpected(
        ApiError{.status = 404,
                 .message = fmt::format("There is no adapter {}.", in_quotes(id)),
                 .param = "lora_name",
                 .code = "model_not_found"});
  }
  parts_.log->info("adapter unloaded", {{"id", call.id}, {"model", id}, {"key", call.pass->key()}});
  respond(call, HttpResponse{.body = dump({{"id", id}, {"object", "model"}, {"deleted", true}})});
  return {};
}

}  // namespace fathom::serve
