// Several models in one server.
#include <gtest/gtest.h>

#include <thread>

#include "serve/ledger.h"
#include "serve/server_fixture.h"

namespace fathom::serve {
namespace {

using test::body_of;
using test::Json;
using test::status_of;
using test::TestServer;

Json chat_with(const std::string& model) {
  Json body = {{"messages", {{{"role", "user"}, {"content", "Hello"}}}},
               {"max_tokens", 20},
               {"temperature", 0}};
  if (!model.empty()) body["model"] = model;
  return body;
}

TEST(SeveralModels, AreAllListed) {
  const TestServer server({.others = {"second", "third"}});
  const Json list = server.get_json("/v1/models")["data"];
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[0]["id"], "tiny");
  EXPECT_EQ(list[2]["id"], "third");
  EXPECT_EQ(server.get_json("/v1/models/second")["id"], "second");
}

TEST(SeveralModels, AnswerByTheirNameAndTheFirstWithoutOne) {
  const TestServer server({.others = {"second"}});
  const auto ask = [&](const std::string& model) {
    return server.post_json("/v1/chat/completions", chat_with(model));
  };
  EXPECT_EQ(ask("second")["model"], "second");
  EXPECT_EQ(ask("tiny")["model"], "tiny");
  EXPECT_EQ(ask("")["model"], "tiny");
  EXPECT_EQ(ask("second")["choices"], ask("tiny")["choices"]) << "the same weights";
}

TEST(SeveralModels, AnUnknownNameIsToldWhichThereAre) {
  const TestServer server({.others = {"second"}});
  const std::string response = server.post("/v1/chat/completions", chat_with("gpt").dump());
  EXPECT_EQ(status_of(response), 404);
  EXPECT_NE(body_of(response).find("second"), std::string::npos) << response;
}

TEST(SeveralModels, ComputeAtTheSameTimeWithoutChangingAnAnswer) {
  const TestServer server({.others = {"second"}});
  const Json alone = server.post_json("/v1/chat/completions", chat_with("tiny"))["choices"];
  std::vector<std::thread> threads;
  std::vector<Json> answers(8);
  for (size_t i = 0; i < answers.size(); ++i) {
    threads.emplace_back([&, i] {
      answers[i] =
          server.post_json("/v1/chat/completions", chat_with(i % 2 == 0 ? "tiny" : "second"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Json& answer : answers) EXPECT_EQ(answer["choices"], alone);
}

TEST(SeveralModels, HaveTheirOwnMetricsAndTheirOwnRowsInTheLedger) {
  const TestServer server({.others = {"second"}});
  server.post_json("/v1/chat/completions", chat_with("second"));
  EXPECT_TRUE(server.metric_becomes("fathom_answers_ended_total{model=\"second\"}", 1));
  EXPECT_TRUE(server.metric_becomes("fathom_answers_ended_total{model=\"tiny\"}", 0));
  const Json usage = server.get_json("/v1/usage");
  ASSERT_EQ(usage["data"].size(), 1U);
  EXPECT_EQ(usage["data"][0]["model"], "second");
}

}  // namespace
}  // namespace fathom::serve
