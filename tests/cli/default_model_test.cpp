// The default model, where `fathom pull default` has fetched it: a real model answers.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "hub/model_cache.h"

namespace fathom::test {
namespace {

using nlohmann::json;

class DefaultModel : public testing::Test {
 protected:
  void SetUp() override {
    const auto cache = hub::ModelCache::of_user();
    if (!cache || !cache->resolve(hub::kDefaultModelName)) {
      GTEST_SKIP() << "the default model is not in the cache: fathom pull default";
    }
    options_.environment.push_back("XDG_CACHE_HOME=" + cache->root().parent_path().string());
  }

  Process::Options options_;
};

TEST_F(DefaultModel, KnowsTheCapitalOfFrance) {
  // The shorter question's first word is a near-tie in F32 already (logits 0.08 apart).
  const Finished finished = run({"run", "--temperature", "0", "--max-tokens", "40", "--stats",
                                 "What is the capital of France, and what is it known for?"},
                                {}, options_);
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_NE(finished.out.find("Paris"), std::string::npos) << finished.out;
  EXPECT_NE(finished.err.find("tokens/s"), std::string::npos);
}

TEST_F(DefaultModel, IsInspectedByName) {
  const Finished finished = run({"inspect", "default", "--json"}, {}, options_);
  ASSERT_EQ(finished.code, 0) << finished.err;
  const json facts = json::parse(finished.out);
  EXPECT_EQ(facts.at("tier"), "Nano");
  EXPECT_EQ(facts.at("parameters"), 134515008);
  EXPECT_FALSE(facts.at("chat_template").is_null());
}

TEST_F(DefaultModel, IsTheOneWhenNoneIsNamed) {
  const Finished finished = run({"tokenize", "Hello", "--json"}, {}, options_);
  ASSERT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(json::parse(finished.out).at("pieces"), json({"Hello"}));
}

}  // namespace
}  // namespace fathom::test
