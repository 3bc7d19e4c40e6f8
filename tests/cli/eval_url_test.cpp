// fathom eval with --url, against a server of our own on the loopback interface and against one
// that says what a test wants.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"
#include "loadtest/fake_server.h"
#include "serve/server_fixture.h"

namespace fathom::test {
namespace {

class EvalUrlTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  std::string choices() const {
    file("rows.jsonl",
         "{\"q\": \"2 + 2\", \"options\": [\"4\", \"five\"], \"right\": 0}\n"
         "{\"q\": \"1 + 1\", \"options\": [\"3\", \"2\"], \"right\": 1}\n");
    return file("sums.json", R"({"name": "sums", "data": "rows.jsonl", "prompt": "{q} =",
                                 "choices": "options", "answer": "right"})");
  }
  std::string open_questions() const {
    file("open.jsonl", R"({"q": "Which river?", "right": ["Elbe", "the Elbe"]})");
    return file("open.json", R"({"name": "rivers", "type": "generate", "data": "open.jsonl",
                                 "prompt": "{q}", "answer": "right", "max_tokens": 12})");
  }
  std::string text() const {
    return file("text.txt", "the quick brown fox jumps over the lazy dog, which does not mind");
  }
  static std::string url_of(const TestServer& server) {
    return "http://127.0.0.1:" + std::to_string(server.port());
  }
  static Json json_of(const std::vector<std::string>& arguments) {
    const Finished result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.code == 0 ? Json::parse(result.out) : Json();
  }

 private:
  TemporaryDirectory directory_;
};

TEST_F(EvalUrlTest, TasksAreScoredAsForTheModelHere) {
  const TestServer server;
  const std::vector<std::string> tasks = {"eval", "task", choices(), open_questions(), "--json"};
  auto local = tasks;
  local.insert(local.end(), {"-m", talking_model()});
  auto remote = tasks;
  remote.insert(remote.end(), {"--url", url_of(server), "-m", "tiny"});
  const Json here = json_of(local);
  const Json there = json_of(remote);
  ASSERT_TRUE(here.is_object() && there.is_object());
  EXPECT_EQ(there["model"], "tiny");
  for (size_t question = 0; question < 2; ++question) {
    const Json& a = here["tasks"][0]["answers"][question];
    const Json& b = there["tasks"][0]["answers"][question];
    EXPECT_EQ(a["chosen"], b["chosen"]);
    for (size_t choice = 0; choice < 2; ++choice) {
      EXPECT_NEAR(a["loglikelihoods"][choice].get<double>(),
                  b["loglikelihoods"][choice].get<double>(), 1e-3);
    }
  }
  EXPECT_EQ(here["tasks"][1]["answers"], there["tasks"][1]["answers"]);
}

TEST_F(EvalUrlTest, PerplexityIsThatOfTheModelHere) {
  const TestServer server;
  for (const char* stride : {"0", "5"}) {
    const std::vector<std::string> what = {"eval", "ppl",      "--text", text(),  "--context",
                                           "16",   "--stride", stride,   "--json"};
    auto local = what;
    local.insert(local.end(), {"-m", talking_model()});
    auto remote = what;
    remote.insert(remote.end(), {"--url", url_of(server)});
    const Json here = json_of(local);
    const Json there = json_of(remote);
    ASSERT_TRUE(here.is_object() && there.is_object());
    EXPECT_EQ(there["tokens"], here["tokens"]);
    EXPECT_EQ(there["windows"], here["windows"]);
    EXPECT_NEAR(there["nll"].get<double>(), here["nll"].get<double>(), 1e-4);
    EXPECT_EQ(there["url"], url_of(server) + "/v1");
    EXPECT_EQ(there["model"], "tiny");
  }
}

TEST_F(EvalUrlTest, KeysAreSentToServersThatAskForThem) {
  ServerOptions options;
  options.serve.require_keys = true;
  const TestServer server(options);
  const Finished refused = run({"eval", "ppl", "--text", text(), "--url", url_of(server)});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("401"), std::string::npos) << refused.err;
  const Finished made = run({"keys", "create", "me", "--database", server.database().string()});
  ASSERT_EQ(made.code, 0) << made.err;
  const size_t at = made.out.find("fathom-");
  ASSERT_NE(at, std::string::npos) << made.out;
  const std::string key = made.out.substr(at, made.out.find_first_of(" \n", at) - at);
  const Finished asked =
      run({"eval", "ppl", "--text", text(), "--url", url_of(server), "--api-key", key});
  EXPECT_EQ(asked.code, 0) << asked.err;
}

TEST_F(EvalUrlTest, SaysWhatIsWrongWithTheAddress) {
  const TestServer server;
  const std::string url = url_of(server);
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--url", "127.0.0.1:8080"}, "http://"},
      {{"--url", "http://"}, "names no server"},
      {{"--url", "http://127.0.0.1:1"}, "does not answer"},
      {{"--url", url + "/v2"}, "404"},
      {{"--url", url, "-m", "gpt"}, "has no model"},
      {{"--url", url, "--concurrent", "0"}, "--concurrent"},
      {{"--url", url, "--lora", "somewhere"}, "--lora"},
      {{"--api-key", "x", "-m", talking_model()}, "--url"},
  };
  for (const auto& [flags, word] : cases) {
    std::vector<std::string> arguments = {"eval", "ppl", "--text", text()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Finished result = run(arguments);
    EXPECT_NE(result.code, 0) << word;
    EXPECT_NE(result.err.find(word), std::string::npos) << result.err;
  }
}

TEST_F(EvalUrlTest, AServerThatCannotScoreTextsIsTold) {
  const auto error = [&](const std::string& tokens, const std::string& scores,
                         const std::vector<std::string>& what) {
    const FakeServer server([&](const FakeServer::Request& request, const FakeServer::Send& send) {
      const bool tokenizes = request.head.find("/tokenize") != std::string::npos;
      send(response("200 OK", tokenizes ? tokens : scores));
      return true;
    });
    std::vector<std::string> arguments = {"eval"};
    arguments.insert(arguments.end(), what.begin(), what.end());
    arguments.insert(arguments.end(), {"--url", server.url()});
    const Finished result = run(arguments);
    EXPECT_EQ(result.code, 1);
    return result.err;
  };
  const std::vector<std::string> ppl = {"ppl", "--text", text()};
  const std::string ids = R"({"tokens": [1, 2, 3]})";
  const auto expect = [](const std::string& said, const char* part) {
    EXPECT_NE(said.find(part), std::string::npos) << said;
  };
  expect(error("{}", "{}", ppl), "/tokenize");
  expect(error(R"({"tokens": ["a"]})", "{}", ppl), "without token ids");
  expect(error(R"({"tokens": [1]})", "{}", ppl), "at least two");
  expect(error(ids, "{}", ppl), "echo");
  expect(error(ids, R"({"choices": [{"logprobs": {"token_logprobs": [null]}}]})", ppl), "echo");
  expect(error(ids, R"({"choices": [{"logprobs": {"token_logprobs": [null, "x", -1]}}]})", ppl),
         "log-probability");
  expect(error(ids, "nonsense", ppl), "JSON");
  expect(error(ids, R"({"choices": [{"text": "4"}]})", {"task", choices()}), "logprobs");
}

}  // namespace
}  // namespace fathom::test
