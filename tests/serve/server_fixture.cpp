#include "serve/server_fixture.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace fathom::test {
namespace {

const std::string& thinking_model() {
  static const TemporaryDirectory directory;
  static const std::string path = [] {
    TinyModel{.thinks = true, .ends = false}.write(directory.path());
    return directory.path().string();
  }();
  return path;
}

Model load(const ServerOptions& options) {
  LoadOptions load;
  load.threads = 1;
  load.chat_template = options.chat_template;
  const std::string& path = options.thinks    ? thinking_model()
                            : options.endless ? endless_model()
                                              : talking_model();
  auto model = Model::load(path, load);
  if (!model) throw std::runtime_error(model.error().message);
  return *std::move(model);
}

}  // namespace

TestServer::TestServer(ServerOptions options) {
  options.serve.http.port = 0;
  if (!options.logs) options.serve.log = serve::LogFormat::kNone;
  options.serve.engine.kv_memory = int64_t{64} << 20;
  if (options.serve.engine.context == 0) options.serve.engine.context = 100'000;
  if (options.serve.database.empty()) options.serve.database = database();
  std::vector<serve::NamedModel> models = {{"tiny", load(options), options.adapters}};
  for (const std::string& name : options.others) models.push_back({name, load(options)});
  auto server = serve::Server::start(models, options.serve);
  if (!server) throw std::runtime_error(server.error().message);
  server_ = *std::move(server);
}

std::string TestServer::post(std::string_view path, const std::string& body,
                             std::string_view headers) const {
  return ask(port(), http_request("POST", path, body, headers));
}

std::string TestServer::get(std::string_view path, std::string_view headers) const {
  return ask(port(), http_request("GET", path, {}, headers));
}

Json TestServer::post_json(std::string_view path, const Json& body) const {
  const std::string response = post(path, body.dump());
  EXPECT_EQ(status_of(response), 200) << response;
  return Json::parse(body_of(response));
}

Json TestServer::get_json(std::string_view path) const {
  const std::string response = get(path);
  EXPECT_EQ(status_of(response), 200) << response;
  return Json::parse(body_of(response));
}

bool TestServer::metric_becomes(const std::string& name, double wanted) const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < end) {
    const std::string text = "\n" + body_of(get("/metrics"));
    const size_t at = text.find("\n" + name + " ");
    if (at != std::string::npos && std::atof(text.c_str() + at + name.size() + 2) == wanted) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

std::vector<Json> events_of(const std::string& response, bool done) {
  std::vector<Json> events;
  const std::string body = body_of(response);
  bool is_done = false;
  constexpr std::string_view kData = "data: ";
  for (size_t at = body.find(kData); at != std::string::npos; at = body.find(kData, at)) {
    at += kData.size();
    const std::string data = body.substr(at, body.find("\n\n", at) - at);
    EXPECT_FALSE(is_done) << "an event after the end: " << data;
    if (data == "[DONE]") {
      is_done = true;
    } else {
      events.push_back(Json::parse(data));
    }
  }
  EXPECT_EQ(is_done, done) << response;
  return events;
}

}  // namespace fathom::test
