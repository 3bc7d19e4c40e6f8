// A ServingEngine that guesses, against a Session that does not.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

#include "engine/recording_sink.h"
#include "engine/serving_engine.h"

namespace fathom {
namespace {

using Method = Speculation::Method;

Model load(const std::string& name) {
  LoadOptions options;
  options.threads = 2;
  options.mtp = name == "deepseek_v3";
  auto model = Model::load(FATHOM_TEST_DATA "/golden/models/" + name, options);
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

const Model& tiny(const std::string& name) {
  static std::map<std::string, Model> models;
  const auto found = models.find(name);
  return found != models.end() ? found->second : models.emplace(name, load(name)).first->second;
}

std::unique_ptr<ServingEngine> serve(const std::string& name, const Speculation& speculation,
                                     int64_t kv_memory = int64_t{1} << 28) {
  ServingOptions options;
  options.kv_memory = kv_memory;
  options.speculation = speculation;
  auto engine = ServingEngine::start(tiny(name).impl()->engine, options);
  EXPECT_TRUE(engine) << engine.error().message;
  return *std::move(engine);
}

// The answers of tiny random models soon repeat themselves, so lookup finds much.
std::vector<int32_t> prompt_of(int64_t length, int32_t salt) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < length; ++i) {
    tokens.push_back(static_cast<int32_t>(3 + (i % 11 * 7 + salt * (i % 5 + 1)) % 80));
  }
  return tokens;
}

Request request_of(int i, int64_t prompt, int64_t length) {
  Request request;
  request.prompt = prompt_of(prompt, i);
  request.options.max_tokens = length;
  request.options.stop_at_eos = i % 5 == 0;
  SamplingOptions& sampling = request.options.sampling;
  sampling.temperature = i % 2 == 0 ? 0.0F : 0.7F;
  sampling.seed = static_cast<uint64_t>(i);
  sampling.repeat_penalty = i % 4 < 2 ? 1.0F : 1.1F;
  return request;
}

struct Asked {
  std::shared_ptr<RecordingSink> sink;
  RequestId id = 0;
};

Asked ask(ServingEngine& engine, Request request) {
  Asked asked;
  asked.sink = std::make_shared<RecordingSink>(request.answers);
  request.sink = asked.sink;
  const auto id = engine.submit(std::move(request));
  EXPECT_TRUE(id) << id.error().message;
  asked.id = id.value_or(0);
  return asked;
}

Answer alone(const Request& request, const std::string& name) {
  Session session(tiny(name));
  auto answer = session.continue_tokens(request.prompt, request.options);
  EXPECT_TRUE(answer) << answer.error().message;
  return *std::move(answer);
}

struct Way {
  const char* name;
  Method method;
  const char* draft;  // null: none
};

class ServingWithGuesses : public testing::TestWithParam<Way> {
 protected:
  static Speculation speculation() {
    Speculation wanted{.method = GetParam().method};
    if (GetParam().draft != nullptr) wanted.draft = tiny(GetParam().draft);
    return wanted;
  }
};

TEST_P(ServingWithGuesses, SaysWhatASessionSaysAloneWhateverTheTemperature) {
  for (const std::string name : {"llama_gqa_tied", "deepseek_v3"}) {
    const auto engine = serve(name, speculation());
    std::vector<Request> requests;
    std::vector<Asked> asked;
    for (int i = 0; i < 16; ++i) {
      requests.push_back(request_of(i, 1 + i * 7, 20 + i * 8));
      asked.push_back(ask(*engine, requests.back()));
      if (i % 6 == 0) asked.back().sink->wait();  // some run alone
    }
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto& got = asked[i].sink->wait();
      const Answer expected = alone(requests[i], name);
      EXPECT_EQ(got.tokens, expected.tokens) << name << " " << i;
      EXPECT_EQ(got.end.reason, expected.finish) << name << " " << i;
    }
    EXPECT_TRUE(engine->drain(std::chrono::minutes(1)));
    const ServingStats stats = engine->stats();
    EXPECT_EQ(stats.pages_used, 0);
    EXPECT_GT(stats.drafted_tokens, 0U);
    EXPECT_LE(stats.accepted_tokens, stats.drafted_tokens);
  }
}

TEST_P(ServingWithGuesses, StaysRightThroughPreemptionsAndCancellations) {
  const std::string name = "llama_gqa_tied";
  Speculation wanted = speculation();
  // Ten pages or so for sequences that want thirty.
  const int64_t draft_bytes = wanted.draft ? wanted.draft->info().cache_bytes_per_token : 0;
  const auto engine =
      serve(name, wanted, 10 * 32 * (tiny(name).info().cache_bytes_per_token + draft_bytes));
  std::mt19937 random(7);
  std::vector<Request> requests;
  std::vector<Asked> asked;
  for (int i = 0; i < 24; ++i) {
    requests.push_back(request_of(i, 10 + i * 4, 100));
    requests.back().options.stop_at_eos = false;
    asked.push_back(ask(*engine, requests.back()));
    if (random() % 4 == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 5));
      engine->cancel(asked[asked.size() / 2].id);
    }
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& got = asked[i].sink->wait();
    std::vector<int32_t> expected = alone(requests[i], name).tokens;
    if (got.end.reason == FinishReason::kCancelled) {
      ASSERT_LE(got.tokens.size(), expected.size());
      expected.resize(got.tokens.size());
    }
    EXPECT_EQ(got.tokens, expected) << i;
    EXPECT_EQ(got.ends, 1);
  }
  EXPECT_TRUE(engine->drain(std::chrono::minutes(1)));
  EXPECT_GT(engine->stats().preemptions, 0U);
  EXPECT_EQ(engine->stats().pages_used, 0);
}

TEST_P(ServingWithGuesses, ScoresEveryTokenAsWithoutGuesses) {
  const std::string name = "llama_gqa_tied";
  Request request = request_of(0, 40, 60);
  request.options.stop_at_eos = false;
  request.logprobs = 3;
  request.entropies = true;
  const auto plain = serve(name, {});
  const auto quick = serve(name, speculation());
  const Asked known = ask(*plain, request);
  const auto& expected = known.sink->wait().scored;
  const Asked asked = ask(*quick, request);
  const auto& got = asked.sink->wait().scored;
  EXPECT_GT(quick->stats().drafted_tokens, 0U);
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].token, expected[i].token);
    EXPECT_EQ(got[i].logprob, expected[i].logprob) << i;
    EXPECT_EQ(got[i].entropy, expected[i].entropy) << i;
    ASSERT_EQ(got[i].top.size(), 3U);
    EXPECT_EQ(got[i].top[2].logprob, expected[i].top[2].logprob) << i;
  }
}

TEST_P(ServingWithGuesses, UsesWhatItGuessedRightForTheNextTurn) {
  const auto engine = serve("llama_gqa_tied", speculation());
  Request request = request_of(0, 50, 90);
  request.options.stop_at_eos = false;
  const auto first = ask(*engine, request).sink->wait();
  Request next = request;
  next.prompt.insert(next.prompt.end(), first.tokens.begin(), first.tokens.end());
  next.prompt.push_back(5);
  const auto second = ask(*engine, next).sink->wait();
  EXPECT_GE(second.end.cached_tokens, 96);
  EXPECT_EQ(second.tokens, alone(next, "llama_gqa_tied").tokens);
}

INSTANTIATE_TEST_SUITE_P(Ways, ServingWithGuesses,
                         testing::Values(Way{"Lookup", Method::kLookup, nullptr},
                                         Way{"Other", Method::kDraftModel, "qwen3"},
                                         Way{"Latent", Method::kDraftModel, "deepseek_v2_lite"}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ServingSpeculation, ByTheModelsOwnMtpLayerSaysTheSameThroughTurnsAndPreemptions) {
  const std::string name = "deepseek_v3";
  const Speculation mtp = {.method = Method::kMtp};
  const int64_t token_bytes = tiny(name).info().cache_bytes_per_token;
  for (const int64_t kv_memory : {int64_t{1} << 28, 16 * 32 * token_bytes}) {
    const auto engine = serve(name, mtp, kv_memory);
    std::vector<Request> requests;
    std::vector<Asked> asked;
    for (int i = 0; i < 16; ++i) {
      requests.push_back(request_of(i, 5 + i * 9, 60 + i * 4));
      if (i % 3 == 2) {  // a beginning that the prefix cache has
        requests.back().prompt = requests[static_cast<size_t>(i) - 1].prompt;
        requests.back().prompt.push_back(9);
      }
      requests.back().options.stop_at_eos = false;
      asked.push_back(ask(*engine, requests.back()));
      if (i % 4 == 0) asked.back().sink->wait();
    }
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(asked[i].sink->wait().tokens, alone(requests[i], name).tokens) << i;
    }
    EXPECT_TRUE(engine->drain(std::chrono::minutes(1)));
    EXPECT_GT(engine->stats().drafted_tokens, 0U);
    EXPECT_EQ(engine->stats().pages_used, 0);
  }
  ServingOptions options;
  options.speculation = mtp;
  const auto without = ServingEngine::start(tiny("llama_gqa_tied").impl()->engine, options);
  ASSERT_FALSE(without);
  EXPECT_NE(without.error().message.find("multi-token prediction"), std::string::npos);
}

TEST(ServingSpeculation, TakesAllThatAnEqualModelGuessesInFewerSteps) {
  const Speculation equal = {.method = Method::kDraftModel, .draft = load("llama_gqa_tied")};
  const auto engine = serve("llama_gqa_tied", equal);
  Request request = request_of(0, 30, 200);
  request.options.stop_at_eos = false;
  const Asked asked = ask(*engine, request);
  EXPECT_EQ(asked.sink->wait().tokens.size(), 200U);
  ASSERT_TRUE(
      engine->drain(std::chrono::seconds(30)));  // the last step is counted after its tokens
  const ServingStats stats = engine->stats();
  EXPECT_GT(stats.drafted_tokens, 0U);
  EXPECT_EQ(stats.accepted_tokens, stats.drafted_tokens);
  EXPECT_EQ(stats.steps, 200U - stats.accepted_tokens);
}

TEST(ServingSpeculation, RefusesADraftModelThatIsMissingOrTheModelItselfOrOfAnotherVocabulary) {
  const auto refusal = [](const Speculation& speculation) -> std::string {
    ServingOptions options;
    options.speculation = speculation;
    const auto engine = ServingEngine::start(tiny("llama_gqa_tied").impl()->engine, options);
    return engine ? "accepted" : engine.error().message;
  };
  EXPECT_NE(refusal({.method = Method::kDraftModel}).find("needs one"), std::string::npos);
  EXPECT_NE(
      refusal({.method = Method::kDraftModel, .draft = tiny("llama_gqa_tied")}).find("itself"),
      std::string::npos);
  EXPECT_NE(refusal({.method = Method::kLookup, .draft_tokens = 17}).find("17"), std::string::npos);
}

TEST(ServingSpeculation, SharesTheMemoryForKeysAndValuesWithItsDraftModel) {
  const auto pages = [](const Speculation& speculation) {
    return serve("llama_gqa_tied", speculation, 1 << 20)->stats().pages_total;
  };
  EXPECT_LT(pages({.method = Method::kDraftModel, .draft = tiny("qwen3")}), pages({}));
  EXPECT_EQ(pages({.method = Method::kLookup}), pages({}));
}

}  // namespace
}  // namespace fathom
