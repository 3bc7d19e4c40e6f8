// Adapters behind names of their own, from the start on or loaded while the server runs.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "serve/api_keys.h"
#include "serve/server_fixture.h"

namespace fathom::serve {
namespace {

namespace fs = std::filesystem;
using test::body_of;
using test::Json;
using test::ServerOptions;
using test::status_of;
using test::TestServer;

const std::string kAdapter = std::string(FATHOM_TEST_DATA) + "/golden/lora/llama_gqa_all";
constexpr const char* kQuestion =
    "A question long enough to fill some pages of the cache, so that it may be found there again.";

Json chat_with(const std::string& model, int64_t max_tokens = 24) {
  return {{"model", model},
          {"messages", {{{"role", "user"}, {"content", kQuestion}}}},
          {"max_tokens", max_tokens},
          {"temperature", 0}};
}

std::string content(const Json& answer) {
  return answer["choices"][0]["message"]["content"].get<std::string>();
}

// A folder with adapters: "one"; "two", the same at another strength; "other", of another model;
// "empty"; and "link", which leads out of the folder.
class Adapters : public testing::Test {
 protected:
  Adapters() {
    const fs::path folder = directory_.path() / "adapters";
    fs::create_directories(folder / "empty");
    for (const char* name : {"one", "two"}) fs::copy(kAdapter, folder / name);
    fs::copy(fs::path(kAdapter).parent_path() / "llama_all", folder / "other");
    fs::copy(kAdapter, directory_.path() / "outside");
    fs::create_directory_symlink(directory_.path() / "outside", folder / "link");
    const fs::path config = folder / "two" / "adapter_config.json";
    Json settings = Json::parse(std::ifstream(config));
    settings["lora_alpha"] = -3 * settings["lora_alpha"].get<double>();
    std::ofstream(config) << settings;
  }

  fs::path folder() const { return directory_.path() / "adapters"; }
  ServerOptions with_folder() const {
    ServerOptions options;
    options.serve.adapter_folder = folder();
    return options;
  }
  static Json load(const TestServer& server, const std::string& name, const std::string& path) {
    return server.post_json("/v1/load_lora_adapter", {{"lora_name", name}, {"lora_path", path}});
  }
  static std::string ask(const TestServer& server, const std::string& model) {
    return content(server.post_json("/v1/chat/completions", chat_with(model)));
  }

 private:
  test::TemporaryDirectory directory_;
};

// What fathom run --lora says.
std::string said_alone(const std::string& adapter) {
  LoadOptions options;
  options.threads = 1;
  options.adapter = adapter;
  const auto model = Model::load(test::talking_model(), options);
  EXPECT_TRUE(model) << model.error().message;
  GenerateOptions greedy;
  greedy.sampling.temperature = 0;
  greedy.max_tokens = 24;
  const auto answer = Session(*model).chat({{"user", kQuestion}}, greedy);
  EXPECT_TRUE(answer) << answer.error().message;
  return answer->text;
}

TEST_F(Adapters, AnswerThroughTheirNamesAsTheModelThatHasThemAlone) {
  ServerOptions options;
  options.adapters = {{"one", folder() / "one"}, {"two", folder() / "two"}};
  const TestServer server(options);
  EXPECT_EQ(ask(server, "tiny"), said_alone(""));
  EXPECT_EQ(ask(server, "tiny:one"), said_alone(folder() / "one"));
  EXPECT_EQ(ask(server, "tiny:two"), said_alone(folder() / "two"));
  EXPECT_NE(ask(server, "tiny:one"), ask(server, "tiny"));
  EXPECT_NE(ask(server, "tiny:one"), ask(server, "tiny:two"));
}

TEST_F(Adapters, ComeAndGoWhileTheServerRuns) {
  const TestServer server(with_folder());
  EXPECT_EQ(status_of(server.post("/v1/chat/completions", chat_with("tiny:x").dump())), 404);
  const Json loaded = load(server, "x", "one");
  EXPECT_EQ(loaded["id"], "tiny:x");
  EXPECT_EQ(loaded["parent"], "tiny");
  EXPECT_EQ(server.get_json("/v1/models")["data"].size(), 2U);
  EXPECT_EQ(ask(server, "tiny:x"), said_alone(folder() / "one"));

  const Json gone = server.post_json("/v1/unload_lora_adapter", {{"lora_name", "tiny:x"}});
  EXPECT_EQ(gone["deleted"], true);
  EXPECT_EQ(server.get_json("/v1/models")["data"].size(), 1U);
  EXPECT_EQ(status_of(server.post("/v1/chat/completions", chat_with("tiny:x").dump())), 404);

  // The path may be absolute, and the name used again: nothing of the first is left.
  load(server, "tiny:x", folder() / "two");
  const Json other = server.post_json("/v1/chat/completions", chat_with("tiny:x"));
  EXPECT_EQ(other["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
  EXPECT_EQ(content(other), said_alone(folder() / "two"));
}

TEST_F(Adapters, AnswersThatHaveBegunKeepWhatIsUnloaded) {
  ServerOptions options = with_folder();
  options.endless = true;
  const TestServer server(options);
  load(server, "x", "one");
  const std::string body = chat_with("tiny:x", 3000).dump();
  const auto answer = [&] {
    const std::string response = server.post("/v1/chat/completions", body);
    EXPECT_EQ(status_of(response), 200) << response;
    return content(Json::parse(body_of(response)));
  };
  const std::string whole = answer();
  std::string again;
  std::thread asking([&] { again = answer(); });
  EXPECT_TRUE(server.metric_becomes("fathom_batch_answers", 1));
  server.post_json("/v1/unload_lora_adapter", {{"lora_name", "x"}});
  EXPECT_EQ(status_of(server.post("/v1/chat/completions", body)), 404);
  asking.join();
  EXPECT_EQ(again, whole);
}

TEST_F(Adapters, RefusesWhatCannotBeLoadedAndSaysWhy) {
  const TestServer server(with_folder());
  load(server, "taken", "one");
  struct Case {
    std::string body;
    int status;
    std::string part;
  };
  const std::string outside = (folder().parent_path() / "outside").string();
  const auto body = [](const std::string& name, const std::string& path) {
    return Json{{"lora_name", name}, {"lora_path", path}}.dump();
  };
  const Case cases[] = {
      {body("x", "other"), 400, "another model"},
      {body("x", "empty"), 400, "adapter_config.json"},
      {body("x", "missing"), 400, "There is no"},
      {body("x", "../outside"), 400, "must name a directory in the folder"},
      {body("x", "one/../../outside"), 400, "must name a directory in the folder"},
      {body("x", outside), 400, "must name a directory in the folder"},
      {body("x", folder().string() + "-more"), 400, "must name a directory in the folder"},
      {body("x", "link"), 400, "must name a directory in the folder"},
      {body("x", "/etc"), 400, "must name a directory in the folder"},
      {body("x", ""), 400, "must name a directory in the folder"},
      {body("x", std::string("one\0", 4)), 400, "must name a directory in the folder"},
      {body("x", "one/adapter_config.json"), 400, "adapter_config.json"},
      {body("taken", "two"), 400, "already"},
      {body("tiny:taken", "two"), 400, "already"},
      {body("nobody:x", "one"), 404, "No model"},
      {body("", "one"), 400, "lora_name"},
      {body("tiny:", "one"), 400, "lora_name"},
      {body("a b", "one"), 400, "lora_name"},
      {body("a/../b", "one"), 400, "lora_name"},
      {body(std::string(200, 'a'), "one"), 400, "lora_name"},
      {R"({"lora_name": "x"})", 400, "lora_path is missing"},
      {R"({"lora_path": "one"})", 400, "lora_name is missing"},
      {R"({"lora_name": 7, "lora_path": "one"})", 400, "lora_name"},
      {R"({"lora_name": "x", "lora_path": "one", "load_inplace": true})", 400, "load_inplace"},
      {"[]", 400, "object"},
      {"{", 400, ""},
  };
  for (const Case& wrong : cases) {
    const std::string response = server.post("/v1/load_lora_adapter", wrong.body);
    EXPECT_EQ(status_of(response), wrong.status) << wrong.body << "\n" << response;
    EXPECT_NE(response.find(wrong.part), std::string::npos) << wrong.body << "\n" << response;
  }
  for (const char* name : {"x", "tiny", "tiny:x"}) {
    const std::string response =
        server.post("/v1/unload_lora_adapter", Json{{"lora_name", name}}.dump());
    EXPECT_EQ(status_of(response), 404) << response;
  }
  EXPECT_EQ(server.get_json("/v1/models")["data"].size(), 2U);
  EXPECT_EQ(ask(server, "tiny:taken"), said_alone(folder() / "one"));
}

TEST_F(Adapters, AreNotLoadedUnlessTheServerWasToldTo) {
  const TestServer server;
  const Json body = {{"lora_name", "x"}, {"lora_path", "one"}};
  const std::string response = server.post("/v1/load_lora_adapter", body.dump());
  EXPECT_EQ(status_of(response), 403) << response;
  EXPECT_NE(response.find("--lora-folder"), std::string::npos) << response;
  EXPECT_EQ(status_of(server.post("/v1/unload_lora_adapter", body.dump())), 403);
}

TEST_F(Adapters, AreLoadedForThoseWithAKeyWhereKeysAreAskedFor) {
  ServerOptions options = with_folder();
  options.serve.require_keys = true;
  const TestServer server(options);
  const std::string body = Json{{"lora_name", "x"}, {"lora_path", "one"}}.dump();
  EXPECT_EQ(status_of(server.post("/v1/load_lora_adapter", body)), 401);
  const auto keys = ApiKeys::open(server.database());
  ASSERT_TRUE(keys) << keys.error().message;
  const auto key = (*keys)->create("me", {});
  ASSERT_TRUE(key) << key.error().message;
  const std::string header = "Authorization: Bearer " + *key + "\r\n";
  EXPECT_EQ(status_of(server.post("/v1/load_lora_adapter", body, header)), 200);
}

}  // namespace
}  // namespace fathom::serve
