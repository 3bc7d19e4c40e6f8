#include "cli/remote_server.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <span>
#include <utility>

#include "base/json.h"
#include "base/quote.h"
#include "hub/http_client.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostAnswer = size_t{64} << 20;
constexpr int kTries = 4;
constexpr std::chrono::seconds kPatience{600};

// What a server says of a request that it does not answer.
std::string said(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_object() && json.contains("error")) {
    const Json& error = json["error"];
    if (error.is_string()) return error.get<std::string>();
    if (error.is_object() && error.contains("message") && error["message"].is_string()) {
      return error["message"].get<std::string>();
    }
  }
  return body.substr(0, 200);
}

std::unique_ptr<hub::HttpClient> make_client() {
  return std::make_unique<hub::HttpClient>(hub::HttpOptions{.stall_timeout = kPatience});
}

bool is_passing(int status) {
  return status == 408 || status == 429 || status >= 500;
}

void wait(hub::HttpClient& client, std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < until) client.poll(std::chrono::milliseconds(50));
}

Result<std::string> base_of(std::string url) {
  if (!url.starts_with("http://") && !url.starts_with("https://")) {
    return usage_error("--url is {}; it must begin with http:// or https://.", in_quotes(url));
  }
  const size_t host = url.find("//") + 2;
  while (url.size() > host && url.ends_with('/')) url.pop_back();
  if (host >= url.size()) return usage_error("--url names no server.");
  if (url.find('/', host) == std::string::npos) url += "/v1";
  return url;
}

}  // namespace

void add_remote_options(CLI::App& command, RemoteOptions& options) {
  command
      .add_option("--url", options.url,
                  "ask a server that speaks OpenAI's API, and there the model that -m names")
      ->type_name("URL");
  command.add_option("--api-key", options.api_key, "or the environment's OPENAI_API_KEY")
      ->type_name("KEY");
  command.add_option("--concurrent", options.concurrent, "requests under way at a time (16)")
      ->type_name("N");
}

RemoteServer::RemoteServer(std::string url, RemoteOptions options)
    : url_(std::move(url)), options_(std::move(options)), client_(make_client()) {}

RemoteServer::~RemoteServer() = default;

Result<std::unique_ptr<RemoteServer>> RemoteServer::connect(const RemoteOptions& options) {
  if (options.concurrent < 1 || options.concurrent > 1024) {
    return usage_error("--concurrent is {}; it must be 1 to 1024.", options.concurrent);
  }
  if (options.api_key.find_first_of("\r\n") != std::string::npos) {
    return usage_error("The API key has a line break.");
  }
  FATHOM_TRY(const std::string url, base_of(options.url));
  std::unique_ptr<RemoteServer> server(new RemoteServer(url, options));
  const char* key = std::getenv("OPENAI_API_KEY");
  if (options.api_key.empty() && key != nullptr) server->options_.api_key = key;
  FATHOM_TRY(const auto names, server->models());
  std::string& model = server->options_.model;
  if (model.empty()) {
    if (names.empty()) return fail("{} lists no models. Name one with -m.", url);
    model = names.front();
  } else if (!names.empty() && std::ranges::find(names, model) == names.end()) {
    return fail("{} has no model {}; it has {}.", url, in_quotes(model), fmt::join(names, ", "));
  }
  return server;
}

Result<std::vector<std::string>> RemoteServer::models() {
  const auto listed = hub::http_get(*client_, url_ + "/models", options_.api_key, kMostAnswer);
  if (listed.outcome.failure != hub::HttpFailure::kNone) {
    return fail("{} does not answer: {}.", url_, listed.outcome.message);
  }
  if (listed.outcome.response.status != 200) {
    return fail("{}/models answers with status {}: {}", url_, listed.outcome.response.status,
                said(listed.body));
  }
  FATHOM_TRY(const Json json, parse_json(listed.body, url_ + "/models", {.bytes = kMostAnswer}));
  std::vector<std::string> names;
  if (json.is_object() && json.contains("data") && json["data"].is_array()) {
    for (const Json& model : json["data"]) {
      if (model.is_object() && model.contains("id") && model["id"].is_string()) {
        names.push_back(model["id"].get<std::string>());
      }
    }
  }
  return names;
}

Status RemoteServer::ask_all(size_t count, const Ask& ask, const Take& take,
                             const Answerer::OnDone& on_done) {
  std::optional<Error> error;
  size_t next = 0;
  size_t done = 0;
  std::vector<std::pair<size_t, int>> again;  // which, and how often it was tried
  const auto start = [&](size_t i, int tries) {
    const auto [path, body] = ask(i);
    auto text = std::make_shared<std::string>();
    hub::HttpRequest request;
    request.url = path.starts_with('/') ? url_ + path : path;
    request.headers = {"Content-Type: application/json"};
    request.bearer_token = options_.api_key;
    request.post_body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
    request.on_body = [text](std::span<const std::byte> bytes) {
      text->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return text->size() <= kMostAnswer;
    };
    request.on_done = [&, i, tries, text](const hub::HttpOutcome& outcome) {
      const int status = outcome.response.status;
      const bool network = outcome.failure == hub::HttpFailure::kNetwork;
      if ((network || is_passing(status)) && tries < kTries) {
        again.emplace_back(i, tries + 1);
      } else if (outcome.failure != hub::HttpFailure::kNone) {
        error = Error{fmt::format("{} does not answer: {}.", url_, outcome.message)};
      } else if (status != 200) {
        error = Error{fmt::format("{} answers with status {}: {}", url_, status, said(*text))};
      } else if (auto parsed = parse_json(*text, url_, {.bytes = kMostAnswer}); !parsed) {
        error = parsed.error();
      } else if (const Status taken = take(i, *parsed); !taken) {
        error = taken.error();
      } else {
        ++done;
      }
    };
    client_->start(std::move(request));
  };
  while (done < count && !error) {
    const auto most = static_cast<size_t>(options_.concurrent);
    if (!again.empty() && client_->active() == 0) {
      // All that is left has failed at least once: the server needs a pause.
      wait(*client_, std::chrono::milliseconds(500));
    }
    for (const auto& [i, tries] : std::exchange(again, {})) start(i, tries);
    while (next < count && client_->active() < most) start(next++, 1);
    client_->poll(std::chrono::milliseconds(100));
    if (on_done && !on_done(done)) error = Error{"Interrupted."};
  }
  if (!error) return {};
  // The callbacks of what is under way point to what ends here.
  client_ = make_client();
  return std::unexpected(*error);
}

Result<std::vector<int32_t>> RemoteServer::tokenize(const std::string& text) {
  constexpr std::string_view kApi = "/v1";
  const std::string root = url_.ends_with(kApi) ? url_.substr(0, url_.size() - kApi.size()) : url_;
  std::optional<Error> first;
  // Fathom's and llama.cpp's field, then vLLM's.
  for (const char* field : {"content", "prompt"}) {
    std::vector<int32_t> tokens;
    const Status asked = ask_all(
        1,
        [&](size_t) -> std::pair<std::string, Json> {
          Json body = {{"model", options_.model}, {field, text}};
          body[field == std::string_view("content") ? "add_special" : "add_special_tokens"] = true;
          return {root + "/tokenize", std::move(body)};
        },
        [&](size_t, const Json& answer) -> Status {
          const auto list = answer.is_object() ? answer.find("tokens") : answer.end();
          const bool fine = answer.is_object() && list != answer.end() && list->is_array() &&
                            std::ranges::all_of(*list, [](const Json& id) {
                              return id.is_number_integer() && id >= 0 && id <= INT32_MAX;
                            });
          if (!fine) return fail("{}/tokenize answered without token ids.", root);
          tokens = list->get<std::vector<int32_t>>();
          return {};
        },
        {});
    if (asked) return tokens;
    if (!first) first = asked.error();
  }
  return fail("The server must tell the text's token ids (POST {}/tokenize). {}", root,
              first->message);
}

}  // namespace fathom::cli
