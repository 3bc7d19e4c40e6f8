// Requests with different adapters in one batch: each is answered as by a session that has its
// adapter alone, and none is given another's keys and values.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/recording_sink.h"
#include "engine/serving_engine.h"

namespace fathom {
namespace {

constexpr const char* kModel = FATHOM_TEST_DATA "/golden/models/llama_gqa_tied";
constexpr const char* kAdapter = FATHOM_TEST_DATA "/golden/lora/llama_gqa_all";

Model load(const std::string& adapter) {
  LoadOptions options;
  options.threads = 2;
  options.adapter = adapter;
  auto model = Model::load(kModel, options);
  EXPECT_TRUE(model) << model.error().message;
  return *std::move(model);
}

TEST(ServingLora, AnswersAreThoseOfTheRequestsOwnAdapterAlsoWhenPromptsAreEqual) {
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 70; ++i) prompt.push_back(3 + i % 50);
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.max_tokens = 12;
  options.stop_at_eos = false;
  const Model plain = load({});
  const Model adapted = load(kAdapter);
  Session plain_session(plain);
  Session adapted_session(adapted);
  const auto want_plain = plain_session.continue_tokens(prompt, options);
  const auto want_adapted = adapted_session.continue_tokens(prompt, options);
  ASSERT_TRUE(want_plain && want_adapted);
  ASSERT_NE(want_plain->tokens, want_adapted->tokens);

  const auto adapter = plain.impl()->engine->load_adapter(kAdapter);
  ASSERT_TRUE(adapter) << adapter.error().message;
  for (const auto method : {Speculation::Method::kOff, Speculation::Method::kLookup}) {
    ServingOptions serving;
    serving.speculation.method = method;
    auto engine = ServingEngine::start(plain.impl()->engine, serving);
    ASSERT_TRUE(engine) << engine.error().message;
    // The second round finds prefixes of both in the cache.
    for (int round = 0; round < 2; ++round) {
      std::vector<std::shared_ptr<RecordingSink>> sinks;
      for (int i = 0; i < 4; ++i) {
        Request request;
        request.prompt = prompt;
        request.options = options;
        if (i % 2 == 1) request.adapter = *adapter;
        sinks.push_back(std::make_shared<RecordingSink>(1));
        request.sink = sinks.back();
        ASSERT_TRUE((*engine)->submit(std::move(request)));
      }
      for (size_t i = 0; i < sinks.size(); ++i) {
        const auto& want = i % 2 == 1 ? want_adapted->tokens : want_plain->tokens;
        EXPECT_EQ(sinks[i]->wait().tokens, want) << i << " in round " << round;
      }
    }
    EXPECT_GT((*engine)->stats().cached_tokens, 0U);
  }
}

TEST(ServingLora, AnAdapterThatIsNoneIsAnErrorOfLoading) {
  LoadOptions options;
  options.adapter = FATHOM_TEST_DATA "/golden/lora/deepseek_v2_lite_all";
  const auto model = Model::load(kModel, options);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message.find("another model"), std::string::npos);
}

}  // namespace
}  // namespace fathom
