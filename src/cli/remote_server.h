// A server somewhere that speaks OpenAI's API, and one of its models: many requests to it at a
// time, tried again where a fault passes. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "evaluate/answerer.h"

namespace CLI {
class App;
}
namespace fathom::hub {
class HttpClient;
}

namespace fathom::cli {

struct RemoteOptions {
  std::string url;      // http://127.0.0.1:8080, https://example.org/v1; without a path: /v1
  std::string model;    // empty: the first that the server lists
  std::string api_key;  // empty: the environment's OPENAI_API_KEY, if it has one
  int64_t concurrent = 16;
};

// --url, --api-key and --concurrent.
void add_remote_options(CLI::App& command, RemoteOptions& options);

class RemoteServer {
 public:
  // Asks the server which models it has, so that a wrong address shows at once.
  static Result<std::unique_ptr<RemoteServer>> connect(const RemoteOptions& options);
  ~RemoteServer();
  RemoteServer(const RemoteServer&) = delete;
  RemoteServer& operator=(const RemoteServer&) = delete;

  const std::string& url() const { return url_; }  // with the API's path, no slash at its end
  const std::string& model() const { return options_.model; }  // that will be asked

  // `count` requests: ask(i) gives the path below url(), or a whole URL, and the body; take(i, ...)
  // the answer, in any order.
  using Ask = std::function<std::pair<std::string, nlohmann::json>(size_t i)>;
  using Take = std::function<Status(size_t i, const nlohmann::json& answer)>;
  Status ask_all(size_t count, const Ask& ask, const Take& take, const Answerer::OnDone& on_done);

  // The model's token ids of a text, with the tokens that begin one. Not of OpenAI's API, but
  // Fathom, vLLM and llama.cpp have it: POST /tokenize, beside /v1.
  Result<std::vector<int32_t>> tokenize(const std::string& text);

 private:
  RemoteServer(std::string url, RemoteOptions options);
  Result<std::vector<std::string>> models();

  std::string url_;
  RemoteOptions options_;
  std::unique_ptr<hub::HttpClient> client_;
};

}  // namespace fathom::cli
