#include "engine/serving_engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <future>
#include <map>
#include <numeric>
#include <random>
#include <thread>

#include "engine/recording_sink.h"

namespace fathom {
namespace {

// Tiny random models without a tokenizer.
const Model& tiny(const std::string& name = "llama_gqa_tied") {
  static std::map<std::string, Model> models;
  const auto found = models.find(name);
  if (found != models.end()) return found->second;
  LoadOptions options;
  options.threads = 2;
  auto model = Model::load(FATHOM_TEST_DATA "/golden/models/" + name, options);
  EXPECT_TRUE(model) << model.error().message;
  return models.emplace(name, *std::move(model)).first->second;
}

std::unique_ptr<ServingEngine> serve(const ServingOptions& options = {},
                                     const std::string& name = "llama_gqa_tied") {
  auto engine = ServingEngine::start(tiny(name).impl()->engine, options);
  EXPECT_TRUE(engine) << engine.error().message;
  return *std::move(engine);
}

// Room for so many pages.
ServingOptions with_pages(int64_t pages) {
  ServingOptions options;
  options.kv_memory = pages * CachePool::kPageTokens * tiny().info().cache_bytes_per_token;
  return options;
}

std::vector<int32_t> prompt_of(int64_t length, int32_t salt = 0) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < length; ++i) {
    tokens.push_back(static_cast<int32_t>(3 + (i * 7 + salt * (i % 5 + 1)) % 80));
  }
  return tokens;
}

struct Asked {
  std::shared_ptr<RecordingSink> sink;
  RequestId id = 0;
};

Asked ask(ServingEngine& engine, Request request, std::function<void(size_t)> on_token = {}) {
  Asked asked;
  asked.sink = std::make_shared<RecordingSink>(request.answers, std::move(on_token));
  request.sink = asked.sink;
  const auto id = engine.submit(std::move(request));
  EXPECT_TRUE(id) << id.error().message;
  asked.id = id.value_or(0);
  return asked;
}

Request greedy(std::vector<int32_t> prompt, int64_t max_tokens) {
  Request request;
  request.prompt = std::move(prompt);
  request.options.sampling.temperature = 0.0F;
  request.options.max_tokens = max_tokens;
  request.options.stop_at_eos = false;
  return request;
}

Request drawn(std::vector<int32_t> prompt, int64_t max_tokens, uint64_t seed) {
  Request request = greedy(std::move(prompt), max_tokens);
  request.options.sampling = {
      .temperature = 1.2F, .top_k = 0, .top_p = 1.0F, .min_p = 0.0F, .seed = seed};
  request.options.sampling.repeat_penalty = seed % 2 == 0 ? 1.0F : 1.2F;
  return request;
}

// What a Session, alone, answers to the same.
std::vector<int32_t> alone(const Request& request, const std::string& name = "llama_gqa_tied") {
  Session session(tiny(name));
  const auto answer = session.continue_tokens(request.prompt, request.options);
  EXPECT_TRUE(answer) << answer.error().message;
  return answer->tokens;
}

void expect_all_free(ServingEngine& engine) {
  EXPECT_TRUE(engine.drain(std::chrono::minutes(5)));
  const ServingStats stats = engine.stats();
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.waiting, 0);
  EXPECT_EQ(stats.pages_used, 0);
}

TEST(ServingEngine, AnswersManyAtOnceAsASessionAnswersEachAlone) {
  for (const std::string name : {"llama_gqa_tied", "deepseek_v3"}) {
    const auto engine = serve({}, name);
    std::vector<Request> requests;
    for (int i = 0; i < 24; ++i) {
      auto prompt = prompt_of(1 + i * 5, i);
      const int64_t length = 5 + i * 3;
      requests.push_back(i % 2 == 0 ? greedy(std::move(prompt), length)
                                    : drawn(std::move(prompt), length, static_cast<uint64_t>(i)));
    }
    std::vector<Asked> asked;
    for (const Request& request : requests) asked.push_back(ask(*engine, request));
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto& got = asked[i].sink->wait();
      EXPECT_EQ(got.tokens, alone(requests[i], name)) << name << " " << i;
      EXPECT_EQ(got.end.reason, FinishReason::kLength);
      EXPECT_EQ(got.end.completion_tokens, requests[i].options.max_tokens);
      EXPECT_EQ(got.ends, 1);
    }
    expect_all_free(*engine);
  }
}

TEST(ServingEngine, ShowsWhatEachStepComputed) {
  struct Steps final : StepObserver {
    void on_step(const ServedStep& step) override { list.push_back(step); }
    std::vector<ServedStep> list;
  } steps;
  ServingOptions options;
  options.observer = &steps;
  {
    const auto engine = serve(options);
    // One after the other: a prompt beside answers comes in by pieces as times allow, and a last
    // piece of one row may be one that decodes.
    const Asked first = ask(*engine, greedy(prompt_of(20, 0), 40));
    first.sink->wait();
    const Asked second = ask(*engine, greedy(prompt_of(30, 1), 8));
    second.sink->wait();
    expect_all_free(*engine);
  }
  ServedStep sum;
  for (const ServedStep& step : steps.list) {
    EXPECT_GT(step.model_seconds, 0);
    EXPECT_LE(step.logits, 2);
    sum.decode_rows += step.decode_rows;
    sum.decode_context += step.decode_context;
    sum.prompt_rows += step.prompt_rows;
    sum.logits += step.logits;
  }
  EXPECT_EQ(sum.prompt_rows, 20 + 30);
  EXPECT_EQ(sum.logits, 40 + 8);
  // The first token of an answer comes with its prompt, the last is never computed.
  EXPECT_EQ(sum.decode_rows, 39 + 7);
  EXPECT_EQ(sum.decode_context, (20 + 58) * 39 / 2 + (30 + 36) * 7 / 2);
}

TEST(ServingEngine, GivesIdenticalAnswersAfterPreemptions) {
  ServingOptions options = with_pages(10);
  const auto engine = serve(options);
  std::vector<Request> requests;
  for (int i = 0; i < 12; ++i) {
    auto prompt = prompt_of(20 + i * 9, i);
    requests.push_back(i % 2 == 0 ? greedy(std::move(prompt), 90)
                                  : drawn(std::move(prompt), 90, static_cast<uint64_t>(i)));
  }
  std::vector<Asked> asked;
  for (const Request& request : requests) asked.push_back(ask(*engine, request));
  int64_t preemptions = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& got = asked[i].sink->wait();
    EXPECT_EQ(got.tokens, alone(requests[i])) << i;
    preemptions += got.end.preemptions;
  }
  EXPECT_GT(preemptions, 0);
  expect_all_free(*engine);
  EXPECT_EQ(engine->stats().preemptions, static_cast<uint64_t>(preemptions));
}

TEST(ServingEngine, StaysRightWhenRequestsJoinLeaveAndAreCancelledAtRandom) {
  ServingOptions options = with_pages(24);
  options.max_running = 7;
  const auto engine = serve(options);
  std::mt19937 random(5);
  const auto below = [&](uint32_t n) { return static_cast<int32_t>(random() % n); };
  std::vector<Request> requests;
  std::vector<Asked> asked;
  std::vector<bool> cancelled;
  for (int i = 0; i < 120; ++i) {
    // Some share a beginning of three pages.
    auto prompt = below(2) == 0 ? prompt_of(96, 1) : std::vector<int32_t>{};
    const auto own = prompt_of(1 + below(100), below(50));
    prompt.insert(prompt.end(), own.begin(), own.end());
    const int64_t length = 1 + below(60);
    Request request = below(2) == 0 ? greedy(std::move(prompt), length)
                                    : drawn(std::move(prompt), length, static_cast<uint64_t>(i));
    request.priority = static_cast<Priority>(below(3));
    requests.push_back(request);
    cancelled.push_back(below(4) == 0);
    if (below(3) == 0 && !asked.empty()) asked[asked.size() / 2].sink->wait();
    asked.push_back(ask(*engine, std::move(request)));
    if (cancelled.back()) {
      if (below(2) == 0) std::this_thread::yield();
      engine->cancel(asked.back().id);
    }
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& got = asked[i].sink->wait();
    EXPECT_EQ(got.ends, 1);
    auto expected = alone(requests[i]);
    if (cancelled[i] && got.end.reason == FinishReason::kCancelled) {
      ASSERT_LE(got.tokens.size(), expected.size());
      expected.resize(got.tokens.size());
    } else {
      EXPECT_EQ(got.end.reason, FinishReason::kLength);
    }
    EXPECT_EQ(got.tokens, expected) << i;
  }
  expect_all_free(*engine);
}

TEST(ServingEngine, ComputesASharedPrefixOnce) {
  const auto engine = serve();
  const auto system = prompt_of(320);
  std::vector<Asked> asked;
  for (int i = 0; i < 20; ++i) {
    auto prompt = system;
    prompt.push_back(3 + i);
    asked.push_back(ask(*engine, greedy(std::move(prompt), 1)));
  }
  for (const auto& a : asked) a.sink->wait();
  EXPECT_TRUE(engine->drain(std::chrono::minutes(1)));
  const ServingStats stats = engine->stats();
  EXPECT_EQ(stats.computed_tokens, 320U + 20U);
  EXPECT_EQ(stats.prompt_tokens, 20U * 321U);
  EXPECT_EQ(stats.cached_tokens, 19U * 320U);
}

TEST(ServingEngine, LetsSeveralAnswersShareTheirPrompt) {
  const auto engine = serve();
  Request request = drawn(prompt_of(300), 20, 40);
  request.answers = 5;
  const Asked asked = ask(*engine, request);
  for (int32_t i = 0; i < request.answers; ++i) {
    Request one = request;
    one.answers = 1;
    one.options.sampling.seed = 40U + static_cast<uint64_t>(i);
    EXPECT_EQ(asked.sink->wait(static_cast<size_t>(i)).tokens, alone(one)) << i;
  }
  EXPECT_TRUE(engine->drain(std::chrono::minutes(1)));
  // Whole pages are shared: 288 of 300 tokens.
  EXPECT_EQ(engine->stats().computed_tokens, 300U + 4U * 12U + 5U * 19U);
}

TEST(ServingEngine, UsesTheAnswerOfOneTurnForTheNext) {
  const auto engine = serve();
  auto prompt = prompt_of(50);
  const auto first = ask(*engine, greedy(prompt, 60)).sink->wait();
  prompt.insert(prompt.end(), first.tokens.begin(), first.tokens.end());
  prompt.push_back(5);
  const Request next = greedy(prompt, 10);
  const auto second = ask(*engine, next).sink->wait();
  EXPECT_EQ(second.end.cached_tokens, 96);  // of the 109 that went through the model
  EXPECT_EQ(second.tokens, alone(next));
}

TEST(ServingEngine, SaysTheSameWithACopiedBeginningOfAPage) {
  for (const std::string name : {"llama_gqa_tied", "deepseek_v3"}) {
    const auto engine = serve({}, name);
    ask(*engine, greedy(prompt_of(80), 1)).sink->wait();
    auto prompt = prompt_of(80);
    prompt[55] = 11;
    const Request next = greedy(prompt, 30);
    const auto answer = ask(*engine, next).sink->wait();
    EXPECT_EQ(answer.end.cached_tokens, 55) << name;
    EXPECT_EQ(answer.tokens, alone(next, name)) << name;
  }
}

TEST(ServingEngine, FreesTheMemoryOfACancelledRequestBeforeTheNextStep) {
  const auto engine = serve();
  std::promise<void> reached;
  std::promise<void> go_on;
  auto may_go_on = go_on.get_future().share();
  const Asked asked = ask(*engine, greedy(prompt_of(200), -1), [&](size_t tokens) {
    if (tokens != 3) return;
    reached.set_value();
    may_go_on.wait();
  });
  reached.get_future().wait();
  engine->cancel(asked.id);
  go_on.set_value();
  const auto& got = asked.sink->wait();
  EXPECT_EQ(got.tokens.size(), 3U);
  EXPECT_EQ(got.end.reason, FinishReason::kCancelled);
  EXPECT_FALSE(got.end.error);
  expect_all_free(*engine);
  EXPECT_EQ(engine->stats().answers_cancelled, 1U);
}

TEST(ServingEngine, EndsWithinOneStepWhenASinkCancels) {
  const auto engine = serve();
  RequestId id = 0;
  std::promise<void> known;
  auto is_known = known.get_future().share();
  const Asked asked = ask(*engine, greedy(prompt_of(10), -1), [&](size_t tokens) {
    is_known.wait();
    if (tokens == 5) engine->cancel(id);
  });
  id = asked.id;
  known.set_value();
  EXPECT_EQ(asked.sink->wait().tokens.size(), 5U);
}

TEST(ServingEngine, RefusesWhatTheQueueHasNoRoomFor) {
  ServingOptions options;
  options.max_running = 1;
  options.max_waiting = 2;
  const auto engine = serve(options);
  std::promise<void> running;
  std::promise<void> go_on;
  auto may_go_on = go_on.get_future().share();
  const Asked first = ask(*engine, greedy(prompt_of(5), 3), [&](size_t tokens) {
    if (tokens == 1) running.set_value();
    may_go_on.wait();
  });
  running.get_future().wait();
  // What runs still counts as waiting until its first step is over.
  const Asked second = ask(*engine, greedy(prompt_of(6), 3));
  Request third = greedy(prompt_of(7), 3);
  third.answers = 2;
  third.sink = std::make_shared<RecordingSink>(2);
  const auto refused = engine->submit(third);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Refusal::Kind::kQueueFull);
  EXPECT_EQ(engine->stats().refusals, 1U);
  go_on.set_value();
  first.sink->wait();
  second.sink->wait();
  expect_all_free(*engine);
}

TEST(ServingEngine, SaysWhyARequestIsInvalid) {
  const auto engine = serve(with_pages(4));
  EXPECT_EQ(engine->context(), 128);
  const auto refusal = [&](Request request) -> std::string {
    request.sink = std::make_shared<RecordingSink>();
    const auto id = engine->submit(std::move(request));
    if (id) return "taken";
    EXPECT_EQ(id.error().kind, Refusal::Kind::kInvalid);
    return id.error().message;
  };
  const auto expect = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(refusal(greedy({}, 1)), "empty");
  expect(refusal(greedy({3, -1}, 1)), "-1");
  expect(refusal(greedy(prompt_of(128), 1)), "128 tokens");
  Request request = greedy(prompt_of(3), 1);
  request.options.sampling.top_p = 0;
  expect(refusal(request), "top-p");
  request = greedy(prompt_of(3), 1);
  request.options.sampling.logit_bias = {{.token = 1 << 30, .bias = 1.0F}};
  expect(refusal(request), "vocabulary");
  request = greedy(prompt_of(3), 1);
  request.answers = 0;
  expect(refusal(request), "answers");
  request = greedy(prompt_of(3), 1);
  request.logprobs = 21;
  expect(refusal(request), "21");
}

TEST(ServingEngine, FillsTheCacheWithOneSequenceAndNoMore) {
  const auto engine = serve(with_pages(2));
  const Asked asked = ask(*engine, greedy(prompt_of(40), -1));
  EXPECT_EQ(asked.sink->wait().tokens.size(), 24U);
  EXPECT_EQ(asked.sink->wait().end.reason, FinishReason::kLength);
  expect_all_free(*engine);
}

TEST(ServingEngine, ScoresTokensByTheModelsOwnProbabilities) {
  const auto engine = serve();
  Request request = drawn(prompt_of(40), 6, 3);
  request.logprobs = 4;
  request.score_prompt = true;
  const Asked asked = ask(*engine, request);
  const auto& got = asked.sink->wait();
  std::vector<int32_t> all = request.prompt;
  all.insert(all.end(), got.tokens.begin(), got.tokens.end());
  std::vector<ScoredToken> scored = asked.sink->prompt();
  scored.insert(scored.end(), got.scored.begin(), got.scored.end());
  ASSERT_EQ(scored.size(), all.size());
  EXPECT_FALSE(scored[0].logprob);
  Session session(tiny());
  const auto logits = session.logits(all, true);
  ASSERT_TRUE(logits);
  for (size_t i = 1; i < all.size(); ++i) {
    const auto& row = (*logits)[i - 1];
    double sum = 0;
    for (const float x : row) sum += std::exp(static_cast<double>(x));
    EXPECT_EQ(scored[i].token, all[i]);
    EXPECT_NEAR(*scored[i].logprob, row[static_cast<size_t>(all[i])] - std::log(sum), 1e-3) << i;
    ASSERT_EQ(scored[i].top.size(), 4U);
    EXPECT_NEAR(scored[i].top[0].logprob, *std::max_element(row.begin(), row.end()) - std::log(sum),
                1e-3);
    EXPECT_GE(scored[i].top[2].logprob, scored[i].top[3].logprob);
  }
}

TEST(ServingEngine, ScoresAPromptWithoutAnsweringIt) {
  const auto engine = serve();
  Request request = greedy(prompt_of(100), 0);
  request.score_prompt = true;
  const Asked asked = ask(*engine, request);
  EXPECT_TRUE(asked.sink->wait().tokens.empty());
  EXPECT_EQ(asked.sink->prompt().size(), 100U);
  EXPECT_EQ(asked.sink->wait().end.reason, FinishReason::kLength);
}

TEST(ServingEngine, EmbedsATextAsTheNormalisedMeanOrLastHiddenState) {
  const auto engine = serve();
  const auto embedding = [&](int64_t tokens, Pooling pooling) {
    Request request = greedy(prompt_of(tokens), -1);
    request.pooling = pooling;
    return ask(*engine, request).sink->wait().end.embedding;
  };
  const auto dot = [](const auto& a, const auto& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  const auto one = embedding(1, Pooling::kLast);
  EXPECT_EQ(std::ssize(one), tiny().impl()->engine->model->config().hidden_size);
  EXPECT_NEAR(dot(one, one), 1.0, 1e-5);
  EXPECT_NEAR(dot(one, embedding(1, Pooling::kMean)), 1.0, 1e-5);
  // Two tokens: twice the mean is the sum of the last hidden states of the prefixes, whose lengths
  // the final norm makes nearly equal only up to its weights; so compare directions in the plane.
  const auto two = embedding(2, Pooling::kLast);
  const auto mean = embedding(2, Pooling::kMean);
  const double c = dot(one, two);
  const double a = (dot(mean, one) - c * dot(mean, two)) / (1 - c * c);
  const double b = (dot(mean, two) - c * dot(mean, one)) / (1 - c * c);
  EXPECT_NEAR(a * a + b * b + 2 * a * b * c, 1.0, 1e-4);
  EXPECT_GT(a, 0);
  EXPECT_GT(b, 0);
}

TEST(ServingEngine, CancelsAllWhenItStops) {
  const auto engine = serve();
  std::vector<Asked> asked;
  for (int i = 0; i < 5; ++i) asked.push_back(ask(*engine, greedy(prompt_of(20, i), -1)));
  engine->stop();
  for (const auto& a : asked) {
    EXPECT_EQ(a.sink->wait().ends, 1);
  }
  Request late = greedy(prompt_of(3), 1);
  late.sink = std::make_shared<RecordingSink>();
  const auto refused = engine->submit(late);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Refusal::Kind::kStopping);
}

TEST(ServingEngine, NeedsMemoryForTwoPages) {
  const auto engine = ServingEngine::start(tiny().impl()->engine, with_pages(1));
  ASSERT_FALSE(engine);
  EXPECT_NE(engine.error().message.find("kv-memory"), std::string::npos);
}

}  // namespace
}  // namespace fathom
