#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"
#include "loadtest/fake_server.h"

namespace fathom::test {
namespace {

bool send_answer(const FakeServer::Request&, const FakeServer::Send& send) {
  send(streamed(5));
  return true;
}

TEST(LoadtestCommand, PrintsJsonAndDrawsAPicture) {
  const FakeServer server(send_answer);
  const TemporaryDirectory directory;
  const std::string plot = directory.path() / "run.svg";
  const Finished done = run({"loadtest", server.url(), "--sessions", "3", "--requests", "12",
                             "--seed", "5", "--json", "--plot", plot});
  ASSERT_EQ(done.code, 0) << done.err;
  const auto json = nlohmann::json::parse(done.out);
  EXPECT_EQ(json["model"], "fake");
  EXPECT_EQ(json["seed"], 5);
  EXPECT_EQ(json["answered"], 12);
  EXPECT_EQ(json["output_tokens"], 120);
  EXPECT_EQ(json["counted_by"], "server");
  EXPECT_TRUE(read_file(plot).starts_with("<svg "));
}

TEST(LoadtestCommand, PrintsATableForPeople) {
  const FakeServer server(send_answer);
  const Finished done = run({"loadtest", server.url(), "--rate", "200", "--requests", "5"});
  ASSERT_EQ(done.code, 0) << done.err;
  for (const char* text : {"5 answered, 0 failed", "first token", "inter-token", "--seed "}) {
    EXPECT_NE(done.out.find(text), std::string::npos) << done.out;
  }
}

TEST(LoadtestCommand, SaysWhatIsWrongWithTheCommandLine) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "url is required"},
      {{"localhost:80"}, "http://"},
      {{"http://a", "--sessions", "1", "--rate", "1"}, "give one of them"},
      {{"http://a", "--sessions", "-1"}, "--sessions is -1"},
      {{"http://a", "--rate", "nan"}, "--rate is nan"},
      {{"http://a", "--requests", "-5"}, "--requests is -5"},
      {{"http://a", "--duration", "-5"}, "--duration is -5"},
      {{"http://a", "--timeout", "0"}, "--timeout is 0"},
      {{"http://a", "--prompt-words", "many"}, "--prompt-words is \"many\""},
      {{"http://a", "--fields", "[1]"}, "--fields is \"[1]\""},
      {{"http://a", "--endpoint", "answers"}, "--endpoint"}};
  for (const auto& [arguments, message] : cases) {
    std::vector<std::string> all = {"loadtest"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Finished done = run(all);
    EXPECT_EQ(done.code, 2) << message;
    EXPECT_NE(done.err.find(message), std::string::npos) << done.err;
  }
}

TEST(LoadtestCommand, FailsWhereNobodyAnswers) {
  std::string url;
  {
    const FakeServer server(send_answer);
    url = server.url();
  }
  const Finished nobody = run({"loadtest", url});
  EXPECT_EQ(nobody.code, 1);
  EXPECT_NE(nobody.err.find("Is the server running there?"), std::string::npos) << nobody.err;

  const FakeServer broken([](const auto&, const auto& send) {
    send(response("500 Internal Server Error", R"({"error": {"message": "it broke"}})"));
    return true;
  });
  const Finished failed = run({"loadtest", broken.url(), "--requests", "2"});
  EXPECT_EQ(failed.code, 1);
  EXPECT_NE(failed.out.find("2 x HTTP 500: \"it broke\""), std::string::npos) << failed.out;
  EXPECT_NE(failed.err.find("No request was answered."), std::string::npos) << failed.err;
}

TEST(LoadtestCommand, NamesTheLineOfATraceThatIsWrong) {
  const TemporaryDirectory directory;
  const std::string trace = directory.path() / "day.jsonl";
  std::ofstream(trace) << "{\"prompt\": \"a\", \"max_tokens\": 1}\n{\"prompt\": 5}\n";
  const Finished done = run({"loadtest", "http://127.0.0.1:9", "--trace", trace});
  EXPECT_EQ(done.code, 1);
  EXPECT_NE(done.err.find("day.jsonl, line 2: \"prompt\" must be a text."), std::string::npos)
      << done.err;
}

}  // namespace
}  // namespace fathom::test
