// Several models on one machine's cores: whose turn it is, and that nothing depends on it.
#include "engine/turns.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "engine/recording_sink.h"
#include "engine/serving_engine.h"

namespace fathom {
namespace {

// Threads pinned, each model's to the same processors.
Model pinned(const std::string& name) {
  LoadOptions options;
  options.threads = 2;
  options.pin_threads = true;
  auto model = Model::load(FATHOM_TEST_DATA "/golden/models/" + name, options);
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

Request request_of(int32_t salt, int64_t length) {
  Request request;
  for (int32_t i = 0; i < 20; ++i) request.prompt.push_back(3 + (i * 7 + salt * (i % 5 + 1)) % 80);
  request.options.sampling.temperature = 0.0F;
  request.options.max_tokens = length;
  request.options.stop_at_eos = false;
  return request;
}

std::shared_ptr<RecordingSink> ask(ServingEngine& engine, Request request) {
  auto sink = std::make_shared<RecordingSink>(request.answers);
  request.sink = sink;
  EXPECT_TRUE(engine.submit(std::move(request)));
  return sink;
}

std::vector<int32_t> alone(const Model& model, const Request& request) {
  Session session(model);
  const auto answer = session.continue_tokens(request.prompt, request.options);
  EXPECT_TRUE(answer) << answer.error().message;
  return answer->tokens;
}

TEST(Turns, AreNeverTwoAtATime) {
  Turns turns;
  std::atomic<int> inside = 0;
  int total = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 500; ++n) {
        const std::lock_guard turn(turns);
        EXPECT_EQ(++inside, 1);
        ++total;
        --inside;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(total, 2000);
}

TEST(Turns, AModelDoesNotStepInAnothersTurn) {
  const Model model = pinned("llama_gqa_tied");
  ServingOptions options;
  options.turns = std::make_shared<Turns>();
  auto engine = ServingEngine::start(model.impl()->engine, options);
  ASSERT_TRUE(engine);
  const Request request = request_of(1, 10);
  std::shared_ptr<RecordingSink> sink;
  {
    const std::lock_guard turn(*options.turns);
    sink = ask(**engine, request);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ((*engine)->stats().steps, 0U);
  }
  EXPECT_EQ(sink->wait().tokens, alone(model, request));
}

TEST(Turns, PinnedModelsThatComputeInTurnAnswerAsEachAlone) {
  const Model first = pinned("llama_gqa_tied");
  const Model second = pinned("deepseek_v3");
  ServingOptions options;
  options.turns = std::make_shared<Turns>();
  auto a = ServingEngine::start(first.impl()->engine, options);
  auto b = ServingEngine::start(second.impl()->engine, options);
  ASSERT_TRUE(a && b);
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (int32_t i = 0; i < 12; ++i) {
    sinks.push_back(ask(i % 2 == 0 ? **a : **b, request_of(i, 30 + i)));
  }
  for (int32_t i = 0; i < 12; ++i) {
    const Request request = request_of(i, 30 + i);
    EXPECT_EQ(sinks[static_cast<size_t>(i)]->wait().tokens,
              alone(i % 2 == 0 ? first : second, request))
        << i;
  }
  // Neither had to wait until the other had nothing more to do.
  EXPECT_GT((*a)->stats().steps, 30U);
  EXPECT_GT((*b)->stats().steps, 30U);
}

}  // namespace
}  // namespace fathom
