// A whole server on a free port of the loopback interface, with a tiny model that says nonsense.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/tiny_model.h"
#include "serve/raw_client.h"
#include "serve/server.h"

namespace fathom::test {

using Json = nlohmann::json;

struct ServerOptions {
  serve::ServeOptions serve = {};
  bool endless = false;  // the model never ends an answer
  bool logs = false;     // as serve.log says; else nothing
  bool thinks = false;   // its template opens <think>, and it never ends an answer
  // Names of further models, each like the first ("tiny").
  std::vector<std::string> others = {};
  std::string chat_template = {};                  // in place of the model's
  std::vector<serve::NamedAdapter> adapters = {};  // of the first model
};

class TestServer {
 public:
  explicit TestServer(ServerOptions options = {});

  uint16_t port() const { return server_->port(); }
  serve::Server& server() { return *server_; }
  std::filesystem::path database() const { return directory_.path() / "serve.db"; }

  // One request on a connection of its own: the whole response.
  std::string post(std::string_view path, const std::string& body,
                   std::string_view headers = {}) const;
  std::string get(std::string_view path, std::string_view headers = {}) const;
  // The same, and the body as JSON; the status must be 200.
  Json post_json(std::string_view path, const Json& body) const;
  Json get_json(std::string_view path) const;
  // A metric's value; waits until it is `wanted`, at most ten seconds.
  bool metric_becomes(const std::string& name, double wanted) const;

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<serve::Server> server_;
};

// The documents in the data lines of server-sent events; the last must be [DONE] if `done`.
std::vector<Json> events_of(const std::string& response, bool done = true);

}  // namespace fathom::test
