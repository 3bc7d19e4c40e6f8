// What a tokenizer is predicted to take beside what one takes.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "base/freed_memory.h"
#include "base/sanitizers.h"
#include "plan/deployment.h"
#include "text/tokenizer.h"

namespace fathom::plan {
namespace {

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0;
  int64_t resident = 0;
  file >> total >> resident;
  return static_cast<double>(resident * sysconf(_SC_PAGESIZE));
}

std::string unpacked(const std::string& name) {
  std::ifstream file(std::string(FATHOM_UNPACKED_DATA) + "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Sanitizers bring allocation functions of their own.
#if defined(__GLIBC__)
constexpr bool kPlainAllocation = !kAddressSanitizer && !kThreadSanitizer;
#else
constexpr bool kPlainAllocation = false;
#endif

class TokenizerMemory : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerMemory, IsWhatOneTakes) {
  if (!kPlainAllocation) GTEST_SKIP() << "the allocation functions are others";
  const std::string folder = GetParam();
  TextSource source;
  source.tokenizer_json = unpacked(folder + "/tokenizer.json");
  source.tokenizer_config_json = unpacked(folder + "/tokenizer_config.json");
  ASSERT_FALSE(source.tokenizer_json.empty());
  return_freed_memory();  // of tests before this one
  // A checkpoint holds these texts as well.
  const double before = resident_bytes() - static_cast<double>(source.tokenizer_json.size());
  const auto tokenizer = Tokenizer::make(source);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  return_freed_memory();
  const double taken = resident_bytes() - before;
  ModelFacts model;
  model.config.vocab_size = (*tokenizer)->vocab_size();
  EXPECT_NEAR(tokenizer_bytes(model), taken, 0.15 * taken);
}

INSTANTIATE_TEST_SUITE_P(Whole, TokenizerMemory, testing::Values("deepseek_v3", "qwen3"));

TEST(Memory, OfTheProgramGrowsWithTheVocabulary) {
  auto facts = catalogue_facts("coder-6.7b", "bf16");
  ASSERT_TRUE(facts.has_value()) << facts.error().message;
  Deployment deployment;
  deployment.hardware.kind = "cpu";
  deployment.model = *std::move(facts);
  deployment.model.config.vocab_size = 1;
  const double one = memory_of(deployment, 0).program;
  deployment.model.config.vocab_size = 129'280;
  // 315 bytes a token: 41 MB for DeepSeek-V3.
  EXPECT_NEAR(memory_of(deployment, 0).program - one, 40.7e6, 0.1e6);
}

}  // namespace
}  // namespace fathom::plan
