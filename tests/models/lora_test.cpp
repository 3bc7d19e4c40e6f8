// Adapters that PEFT made (tests/golden/make_lora_golden.py) against the logits of what PEFT
// merged, and the promise that a row's adapter is its own affair.
#include "layers/lora.h"

#include "golden/golden_file.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "models/model.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;
using Tokens = std::vector<int32_t>;

fs::path golden(const std::string& name) {
  return fs::path(FATHOM_TEST_DATA) / "golden" / name;
}

// A model with its adapter, and a cache of 64 pages.
struct Adapted {
  Adapted(const fs::path& path, const fs::path& directory, KernelChoice choice)
      : kernels(Kernels::make(choice, 2)) {
    auto opened = Checkpoint::open(path);
    if (!opened) throw std::runtime_error(opened.error().message);
    checkpoint = *std::move(opened);
    auto loaded = LanguageModel::load(*checkpoint, *kernels);
    if (!loaded) throw std::runtime_error(loaded.error().message);
    model = *std::move(loaded);
    auto pool = CachePool::make(model->cache_layout(), 64);
    if (!pool) throw std::runtime_error(pool.error().message);
    cache = std::make_unique<CachePool>(*std::move(pool));
    adapter = load(directory);
  }

  std::shared_ptr<const LoraWeights> load(const fs::path& directory) {
    auto read = read_lora_adapter(directory, *checkpoint);
    if (!read) throw std::runtime_error(read.error().message);
    auto made = LoraWeights::make(*read, checkpoint->config(), model->lora_sites(), *kernels);
    if (!made) throw std::runtime_error(made.error().message);
    return *std::move(made);
  }

  std::vector<float> logits(const Tokens& tokens, const LoraWeights* with) {
    std::vector<int32_t> pages(64);
    std::iota(pages.begin(), pages.end(), 0);
    Batch batch;
    batch.sequences.push_back(
        {.tokens = tokens, .pages = pages, .logits = BatchSequence::Logits::kAll, .adapter = with});
    const auto rows = model->forward(batch, *cache);
    return {rows.begin(), rows.end()};
  }

  std::unique_ptr<Kernels> kernels;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<LanguageModel> model;
  std::unique_ptr<CachePool> cache;
  std::shared_ptr<const LoraWeights> adapter;
};

// How far each position's logits are from the golden's, the farthest first.
std::vector<float> differences(Adapted& adapted, const GoldenFile& file) {
  std::vector<float> all;
  for (const GoldenPrompt& prompt : file.prompts) {
    const auto rows = adapted.logits(prompt.tokens, adapted.adapter.get());
    const auto vocab = static_cast<size_t>(file.vocab_size);
    for (size_t i = 0; i < prompt.positions.size(); ++i) {
      float worst = 0;
      for (size_t t = 0; t < vocab; ++t) {
        const float got = rows[static_cast<size_t>(prompt.positions[i]) * vocab + t];
        worst = std::max(worst, std::abs(got - prompt.logits[i * vocab + t]));
      }
      all.push_back(worst);
    }
  }
  std::ranges::sort(all, std::greater());
  return all;
}

struct Case {
  std::string name;
  std::string model;
};

class LoraGolden : public testing::TestWithParam<Case> {};

TEST_P(LoraGolden, LogitsAreThoseOfTheModelThatPeftMerged) {
  const fs::path directory = golden("lora") / GetParam().name;
  const GoldenFile file = read_golden(directory / "merged.golden");
  Adapted plain(golden("models") / GetParam().model, directory, KernelChoice::kReference);
  EXPECT_LT(differences(plain, file).front(), 1e-3F);
  Adapted fast(golden("models") / GetParam().model, directory, KernelChoice::kAuto);
  // Its cache and the adapter have 16 bits, by which a router's near tie may fall the other way.
  const auto far = differences(fast, file);
  const size_t ties = GetParam().model.starts_with("deepseek") ? 1 : 0;
  ASSERT_GT(far.size(), 10U);
  EXPECT_LT(far[ties], 3e-2F);
}

INSTANTIATE_TEST_SUITE_P(
    All, LoraGolden,
    testing::Values(Case{"llama_attention", "llama_mha"}, Case{"llama_all", "llama_mha/f32.gguf"},
                    Case{"llama_gqa_all", "llama_gqa_tied"},
                    Case{"llama_gqa_all", "llama_gqa_tied/f16.gguf"},
                    Case{"deepseek_moe_experts", "deepseek_moe"},
                    Case{"deepseek_moe_experts", "deepseek_moe/f16.gguf"},
                    Case{"deepseek_v2_lite_all", "deepseek_v2_lite"},
                    Case{"deepseek_v2_lite_all", "deepseek_v2_lite/mla_split.gguf"},
                    Case{"deepseek_v2_groups_all", "deepseek_v2_groups"}),
    [](const auto& c) { return fmt::format("{}_{}", c.index, c.param.name); });

TEST(Lora, EachSequenceOfABatchGetsWhatItWouldGetAlone) {
  const std::pair<std::string, std::string> cases[] = {
      {"llama_gqa_tied", "llama_gqa_all"}, {"deepseek_v2_lite", "deepseek_v2_lite_all"}};
  for (const auto& [name, directory] : cases) {
    Adapted model(golden("models") / name, golden("lora") / directory, KernelChoice::kAuto);
    const auto second = model.load(golden("lora") / directory);  // equal, but another to the engine
    const LoraWeights* const adapters[] = {model.adapter.get(), nullptr, second.get(),
                                           model.adapter.get(), nullptr};
    std::vector<Tokens> prompts;
    std::vector<float> alone;
    for (int32_t i = 0; i < 5; ++i) {
      prompts.push_back(Tokens(static_cast<size_t>(3 + i), 7 + i));
      const auto rows = model.logits(prompts.back(), adapters[i]);
      alone.insert(alone.end(), rows.begin(), rows.end());
    }
    std::vector<int32_t> pages(64);
    std::iota(pages.begin(), pages.end(), 0);
    Batch batch;
    for (size_t i = 0; i < prompts.size(); ++i) {
      batch.sequences.push_back({.tokens = prompts[i],
                                 .pages = std::span(pages).subspan(4 * i, 4),
                                 .logits = BatchSequence::Logits::kAll,
                                 .adapter = adapters[i]});
    }
    const auto together = model.model->forward(batch, *model.cache);
    EXPECT_EQ(std::vector<float>(together.begin(), together.end()), alone) << name;
    EXPECT_NE(model.logits(prompts[0], nullptr), model.logits(prompts[0], adapters[0])) << name;
  }
}

}  // namespace
}  // namespace fathom
