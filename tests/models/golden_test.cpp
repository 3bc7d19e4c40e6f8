// Every tiny checkpoint of tests/golden, as Hugging Face directory and as GGUF, against the logits
// of Hugging Face transformers; and the promise that logits depend neither on how a prompt is cut
// nor on what else is in the batch.
#include "golden/golden_file.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <string>

#include "models/model.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string name;
  fs::path checkpoint;
  fs::path golden;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.checkpoint;
}

std::vector<Case> find_cases() {
  const fs::path root = fs::path(FATHOM_TEST_DATA) / "golden";
  std::vector<Case> cases;
  for (const auto& entry : fs::directory_iterator(root / "models")) {
    const std::string name = entry.path().filename();
    const fs::path golden = entry.path() / "logits.golden";
    cases.push_back({name, entry.path(), golden});
    for (const auto& file : fs::directory_iterator(entry.path())) {
      const std::string stem = file.path().stem();
      const bool later_part =
          stem.find("-of-") != std::string::npos && stem.find("-00001-of-") == std::string::npos;
      if (file.path().extension() != ".gguf" || later_part) continue;
      cases.push_back({name + "_gguf_" + stem.substr(0, stem.find('-')), file.path(), golden});
    }
  }
  for (const auto& entry : fs::directory_iterator(root / "quantized")) {
    if (entry.path().extension() != ".gguf") continue;
    fs::path golden = entry.path();
    golden.replace_extension(".golden");
    cases.push_back({"quantized_" + entry.path().stem().string(), entry.path(), golden});
  }
  std::ranges::sort(cases, {}, &Case::name);
  return cases;
}

// A loaded model with a cache whose pages are handed out in a scattered order.
class LoadedModel {
 public:
  static constexpr int64_t kPages = 64;

  LoadedModel(const fs::path& path, KernelChoice choice, std::optional<CacheType> type = {})
      : kernels_(Kernels::make(choice, 2)) {
    auto checkpoint = Checkpoint::open(path);
    if (!checkpoint) throw std::runtime_error(checkpoint.error().message);
    checkpoint_ = *std::move(checkpoint);
    ModelLoadOptions options;
    options.cache_type = type;
    auto model = LanguageModel::load(*checkpoint_, *kernels_, options);
    if (!model) throw std::runtime_error(model.error().message);
    model_ = *std::move(model);
    auto cache = CachePool::make(model_->cache_layout(), kPages);
    if (!cache) throw std::runtime_error(cache.error().message);
    cache_ = std::make_unique<CachePool>(*std::move(cache));
    free_pages_.resize(kPages);
    std::iota(free_pages_.begin(), free_pages_.end(), 0);
    std::shuffle(free_pages_.begin(), free_pages_.end(), std::mt19937(7));
  }

  int64_t vocab_size() const { return model_->config().vocab_size; }

  // Pages for a sequence of so many tokens; all are free again after forget().
  std::vector<int32_t> take_pages(size_t tokens) {
    const size_t count = (tokens + CachePool::kPageTokens - 1) / CachePool::kPageTokens;
    std::vector<int32_t> pages(free_pages_.begin() + next_, free_pages_.begin() + next_ + count);
    next_ += static_cast<int64_t>(count);
    return pages;
  }
  void forget() { next_ = 0; }

  std::span<const float> forward(const Batch& batch) { return model_->forward(batch, *cache_); }

  // Logits of every position, with the prompt cut into chunks of these sizes.
  std::vector<float> logits(std::span<const int32_t> tokens, std::span<const size_t> chunks) {
    forget();
    const auto pages = take_pages(tokens.size());
    std::vector<float> all;
    size_t done = 0;
    for (const size_t chunk : chunks) {
      Batch batch;
      batch.sequences.push_back({tokens.subspan(done, chunk), static_cast<int64_t>(done), pages,
                                 BatchSequence::Logits::kAll});
      const auto rows = forward(batch);
      all.insert(all.end(), rows.begin(), rows.end());
      done += chunk;
    }
    EXPECT_EQ(done, tokens.size());
    return all;
  }
  std::vector<float> logits(std::span<const int32_t> tokens) {
    const size_t whole[] = {tokens.size()};
    return logits(tokens, whole);
  }

 private:
  std::unique_ptr<Kernels> kernels_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<LanguageModel> model_;
  std::unique_ptr<CachePool> cache_;
  std::vector<int32_t> free_pages_;
  int64_t next_ = 0;
};

struct Difference {
  double largest = 0;
  double root_mean_square = 0;
};

Difference difference(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  Difference d;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double delta = std::abs(static_cast<double>(a[i]) - b[i]);
    // Not std::max, which would pass over NaN.
    if (!(delta <= d.largest)) d.largest = delta;
    d.root_mean_square += delta * delta;
  }
  d.root_mean_square = std::sqrt(d.root_mean_square / static_cast<double>(a.size()));
  return d;
}

// The rows of `all` at these positions.
std::vector<float> rows_at(std::span<const float> all, std::span<const int32_t> positions,
                           int64_t width) {
  std::vector<float> rows;
  for (const int32_t p : positions) {
    const auto row = all.subspan(static_cast<size_t>(p * width), static_cast<size_t>(width));
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

class Golden : public testing::TestWithParam<Case> {};

TEST_P(Golden, MatchesTransformersWithReferenceKernels) {
  const GoldenFile golden = read_golden(GetParam().golden);
  LoadedModel model(GetParam().checkpoint, KernelChoice::kReference);
  ASSERT_EQ(model.vocab_size(), golden.vocab_size);
  for (const GoldenPrompt& prompt : golden.prompts) {
    const auto rows = rows_at(model.logits(prompt.tokens), prompt.positions, golden.vocab_size);
    EXPECT_LE(difference(rows, prompt.logits).largest, 1e-4)
        << "prompt of " << prompt.tokens.size() << " tokens";
  }
}

// Fast kernels may round activations to 8 bits and the cache to F16. On these models, whose random
// weights magnify a disturbance some fifty times and where another expert may come out ahead, that
// moves logits (of spread 1) by a few hundredths on average; a wrong layer moves them by 1.
TEST_P(Golden, StaysNearTransformersWithFastKernels) {
  const GoldenFile golden = read_golden(GetParam().golden);
  LoadedModel model(GetParam().checkpoint, KernelChoice::kAuto);
  for (const GoldenPrompt& prompt : golden.prompts) {
    const auto rows = rows_at(model.logits(prompt.tokens), prompt.positions, golden.vocab_size);
    EXPECT_LE(difference(rows, prompt.logits).root_mean_square, 0.1)
        << "prompt of " << prompt.tokens.size() << " tokens";
  }
}

// With F32 arithmetic the cache is all that differs. INT8 keeps a row to 1/254 of its largest
// element, BF16 an element to 1/256 of itself, which these models magnify as above.
TEST_P(Golden, StaysNearTransformersWithEveryKindOfCache) {
  const GoldenFile golden = read_golden(GetParam().golden);
  for (const auto& [type, bound] :
       {std::pair{CacheType::kF16, 0.02}, {CacheType::kBF16, 0.1}, {CacheType::kInt8, 0.15}}) {
    LoadedModel model(GetParam().checkpoint, KernelChoice::kReference, type);
    const GoldenPrompt& prompt = golden.prompts[3];
    const auto rows = rows_at(model.logits(prompt.tokens), prompt.positions, golden.vocab_size);
    const double error = difference(rows, prompt.logits).root_mean_square;
    EXPECT_LE(error, bound) << name(type);
    EXPECT_GT(error, 1e-6) << name(type) << " rounds nothing";
  }
}

TEST_P(Golden, DoesNotDependOnHowThePromptIsCut) {
  const GoldenFile golden = read_golden(GetParam().golden);
  LoadedModel model(GetParam().checkpoint, KernelChoice::kReference);
  for (const GoldenPrompt& prompt : golden.prompts) {
    const size_t n = prompt.tokens.size();
    const auto whole = model.logits(prompt.tokens);
    std::vector<std::vector<size_t>> cuts = {std::vector<size_t>(n, 1)};
    if (n > 1) cuts.insert(cuts.end(), {{n - 1, 1}, {1, n - 1}, {n / 2, n - n / 2}});
    if (n > 100) cuts.insert(cuts.end(), {{31, 2, 31, 64, 1, n - 129}, {32, 32, n - 64}});
    for (const auto& chunks : cuts) {
      EXPECT_LE(difference(model.logits(prompt.tokens, chunks), whole).largest, 1e-5)
          << n << " tokens, first chunk of " << chunks.front();
    }
  }
}

// Speculation promises the same text as without, so one row and a few must agree to the last bit.
TEST_P(Golden, GivesTheSameBitsForAFewRowsAsForOne) {
  const GoldenFile golden = read_golden(GetParam().golden);
  const GoldenPrompt& prompt = golden.prompts[3];
  const size_t n = prompt.tokens.size();
  ASSERT_GE(n, 20U);
  for (const KernelChoice choice : {KernelChoice::kReference, KernelChoice::kAuto}) {
    LoadedModel model(GetParam().checkpoint, choice);
    std::vector<size_t> ones(n - 15, 1);
    ones[0] = 16;
    const auto want = model.logits(prompt.tokens, ones);
    for (const size_t rows : {2, 3, 5, 9, 17}) {
      std::vector<size_t> chunks = {16};
      for (size_t done = 16; done < n; done += chunks.back()) {
        chunks.push_back(std::min(rows, n - done));
      }
      EXPECT_EQ(model.logits(prompt.tokens, chunks), want) << rows << " rows";
    }
  }
}

// All prompts at once, each advancing by chunks of its own size, so that long prefills, short ones
// and single-token decode steps share batches.
TEST_P(Golden, DoesNotDependOnTheOtherSequencesOfTheBatch) {
  const GoldenFile golden = read_golden(GetParam().golden);
  LoadedModel model(GetParam().checkpoint, KernelChoice::kReference);
  const size_t count = golden.prompts.size();
  std::vector<std::vector<float>> alone;
  for (const auto& prompt : golden.prompts) alone.push_back(model.logits(prompt.tokens));

  model.forget();
  constexpr size_t kChunks[] = {1, 2, 3, 1, 80};
  std::vector<std::vector<int32_t>> pages;
  for (const auto& prompt : golden.prompts) pages.push_back(model.take_pages(prompt.tokens.size()));
  std::vector<std::vector<float>> together(count);
  std::vector<size_t> done(count, 0);
  for (;;) {
    Batch batch;
    std::vector<size_t> who;
    for (size_t i = 0; i < count; ++i) {
      const std::span<const int32_t> tokens = golden.prompts[i].tokens;
      const size_t chunk = std::min(kChunks[i % std::size(kChunks)], tokens.size() - done[i]);
      if (chunk == 0) continue;
      batch.sequences.push_back({tokens.subspan(done[i], chunk), static_cast<int64_t>(done[i]),
                                 pages[i], BatchSequence::Logits::kAll});
      who.push_back(i);
    }
    if (who.empty()) break;
    auto rows = model.forward(batch);
    for (size_t b = 0; b < who.size(); ++b) {
      const size_t chunk = batch.sequences[b].tokens.size();
      const auto own = rows.first(chunk * static_cast<size_t>(golden.vocab_size));
      together[who[b]].insert(together[who[b]].end(), own.begin(), own.end());
      done[who[b]] += chunk;
      rows = rows.subspan(own.size());
    }
    EXPECT_TRUE(rows.empty());
  }
  for (size_t i = 0; i < count; ++i) {
    EXPECT_LE(difference(together[i], alone[i]).largest, 1e-5) << "sequence " << i;
  }
}

TEST_P(Golden, GivesLogitsOnlyOfTheRowsThatAskedForThem) {
  const GoldenFile golden = read_golden(GetParam().golden);
  LoadedModel model(GetParam().checkpoint, KernelChoice::kReference);
  const auto width = static_cast<size_t>(golden.vocab_size);
  const std::span<const int32_t> tokens = golden.prompts[2].tokens;
  const auto all = model.logits(tokens);

  model.forget();
  const auto silent = model.take_pages(tokens.size());
  const auto last = model.take_pages(tokens.size());
  Batch batch;
  batch.sequences.push_back({tokens, 0, silent, BatchSequence::Logits::kNone});
  batch.sequences.push_back({tokens, 0, last, BatchSequence::Logits::kLast});
  const auto rows = model.forward(batch);
  ASSERT_EQ(rows.size(), width);
  EXPECT_LE(difference(rows, std::span(all).last(width)).largest, 1e-5);
}

TEST(MtpLayer, IsRecognisedAndItsWeightsAreReachable) {
  const auto checkpoint =
      Checkpoint::open(fs::path(FATHOM_TEST_DATA) / "golden" / "models" / "deepseek_v3");
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const ModelConfig& config = (*checkpoint)->config();
  EXPECT_EQ(config.layers, 2);
  EXPECT_EQ(config.mtp_layers, 1);
  for (const char* name : {"enorm", "hnorm", "eh_proj", "embed_tokens", "shared_head.norm",
                           "shared_head.head", "self_attn.kv_b_proj", "mlp.experts.15.up_proj"}) {
    EXPECT_NE((*checkpoint)->find("model.layers.2." + std::string(name) + ".weight"), nullptr)
        << name;
  }
  const Tensor* projection = (*checkpoint)->find("model.layers.2.eh_proj.weight");
  ASSERT_NE(projection, nullptr);
  EXPECT_EQ(projection->shape, (Shape{config.hidden_size, 2 * config.hidden_size}));
}

// Rows as forward_mtp() wants them: each token after the first, with the hidden state before it.
std::vector<float> mtp_logits(LanguageModel& model, std::span<const int32_t> tokens,
                              std::span<const size_t> chunks) {
  const auto hidden = static_cast<size_t>(model.config().hidden_size);
  std::vector<int32_t> pages(8);
  std::iota(pages.begin(), pages.end(), 0);
  auto cache = CachePool::make(model.cache_layout(), 8);
  auto mtp_cache = CachePool::make(model.mtp_cache_layout(), 8);
  Batch batch;
  batch.sequences.push_back({.tokens = tokens.first(tokens.size() - 1),
                             .pages = pages,
                             .logits = BatchSequence::Logits::kNone,
                             .hidden_states = true});
  model.forward(batch, *cache);
  const auto states = model.hidden_states();
  const std::vector<float> previous(states.begin(), states.end());
  std::vector<float> all;
  size_t done = 0;
  for (const size_t chunk : chunks) {
    batch.sequences[0] = {.tokens = tokens.subspan(1 + done, chunk),
                          .position = static_cast<int64_t>(done),
                          .pages = pages,
                          .logits = BatchSequence::Logits::kAll};
    const auto rows = model.forward_mtp(
        batch, std::span(previous).subspan(done * hidden, chunk * hidden), *mtp_cache);
    all.insert(all.end(), rows.begin(), rows.end());
    done += chunk;
  }
  EXPECT_EQ(done + 1, tokens.size());
  return all;
}

class MtpGolden : public testing::TestWithParam<const char*> {};

TEST_P(MtpGolden, MatchesTheReference) {
  const fs::path root = fs::path(FATHOM_TEST_DATA) / "golden" / "models" / "deepseek_v3";
  const GoldenFile golden = read_golden(root / "mtp.golden");
  const auto checkpoint = Checkpoint::open(root / GetParam());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  for (const KernelChoice choice : {KernelChoice::kReference, KernelChoice::kAuto}) {
    const auto kernels = Kernels::make(choice, 2);
    const auto model =
        LanguageModel::load(**checkpoint, *kernels, {.mtp = true, .on_progress = {}});
    ASSERT_TRUE(model) << model.error().message;
    ASSERT_TRUE((*model)->has_mtp());
    for (const GoldenPrompt& prompt : golden.prompts) {
      const size_t rows = prompt.tokens.size() - 1;
      const size_t whole[] = {rows};
      const auto got = mtp_logits(**model, prompt.tokens, whole);
      const Difference d = difference(got, prompt.logits);
      if (choice == KernelChoice::kReference) {
        EXPECT_LE(d.largest, 1e-4) << rows << " rows";
      } else {
        EXPECT_LE(d.root_mean_square, 0.1) << rows << " rows";
      }
      const std::vector<size_t> ones(rows, 1);
      EXPECT_LE(difference(mtp_logits(**model, prompt.tokens, ones), got).largest, 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, MtpGolden, testing::Values("", "mla_mtp.gguf"));

TEST(MtpLayer, IsNotLoadedUnlessAskedFor) {
  const auto checkpoint =
      Checkpoint::open(fs::path(FATHOM_TEST_DATA) / "golden" / "models" / "deepseek_v3");
  ASSERT_TRUE(checkpoint);
  const auto kernels = Kernels::make(KernelChoice::kReference, 1);
  const auto plain = LanguageModel::load(**checkpoint, *kernels);
  const auto with = LanguageModel::load(**checkpoint, *kernels, {.mtp = true, .on_progress = {}});
  ASSERT_TRUE(plain && with);
  EXPECT_FALSE((*plain)->has_mtp());
  EXPECT_LT((*plain)->weight_bytes(), (*with)->weight_bytes());
}

TEST(MtpLayer, IsMissedWhereTheCheckpointHasNone) {
  for (const char* name : {"llama_mha", "deepseek_v3/mla_split.gguf"}) {
    const auto checkpoint =
        Checkpoint::open(fs::path(FATHOM_TEST_DATA) / "golden" / "models" / name);
    ASSERT_TRUE(checkpoint);
    const auto kernels = Kernels::make(KernelChoice::kReference, 1);
    const auto model =
        LanguageModel::load(**checkpoint, *kernels, {.mtp = true, .on_progress = {}});
    ASSERT_FALSE(model);
    EXPECT_NE(model.error().message.find("multi-token prediction"), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, Golden, testing::ValuesIn(find_cases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace fathom
