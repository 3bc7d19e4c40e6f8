// Adapters made of differences: what merging put in comes out, and what rounding lost comes back.
#include "compress/extract_lora.h"

#include <random>

#include "checkpoint/lora_adapter.h"
#include "compress/low_rank.h"
#include "compress/merge_lora.h"
#include "compress/quantize.h"
#include "hub/test_files.h"
#include "tiny_runs.h"

namespace fathom {
namespace {

namespace fs = std::filesystem;

std::vector<float> random_values(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

// b [rows, rank] times a [rank, cols].
std::vector<float> product(const std::vector<float>& b, const std::vector<float>& a, int64_t rank) {
  const int64_t cols = std::ssize(a) / rank;
  const int64_t rows = std::ssize(b) / rank;
  std::vector<float> out(static_cast<size_t>(rows * cols));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < rank; ++k) {
      for (int64_t c = 0; c < cols; ++c) {
        out[static_cast<size_t>(r * cols + c)] +=
            b[static_cast<size_t>(r * rank + k)] * a[static_cast<size_t>(k * cols + c)];
      }
    }
  }
  return out;
}

double squares_between(const std::vector<float>& a, const std::vector<float>& b) {
  return mean_square_difference(a, b) * static_cast<double>(a.size());
}

TEST(LowRankApproximation, FindsAMatrixOfThatRankExactly) {
  for (const auto& [rows, cols] : {std::pair<int64_t, int64_t>{50, 70}, {70, 50}, {6, 40}}) {
    const auto matrix = product(random_values(rows * 5, 1), random_values(5 * cols, 2), 5);
    const LowRank found = approximate(matrix, rows, cols, 5);
    EXPECT_NEAR(found.kept / found.whole, 1, 1e-9);
    EXPECT_LT(squares_between(product(found.b, found.a, 5), matrix), found.whole * 1e-11);
  }
}

TEST(LowRankApproximation, LeavesOutLittleMoreThanTheLeastPossible) {
  // Singular values 1, 1/2, 1/3 ... in directions that are orthogonal by construction.
  constexpr int64_t kSize = 64;
  std::vector<float> matrix(static_cast<size_t>(kSize * kSize));
  double least = 0;
  for (int64_t i = 0; i < kSize; ++i) {
    const double value = 1.0 / static_cast<double>(i + 1);
    matrix[static_cast<size_t>((i * 37 % kSize) * kSize + (i * 11 % kSize))] =
        static_cast<float>(value);
    if (i >= 8) least += value * value;
  }
  const LowRank found = approximate(matrix, kSize, kSize, 8);
  const double left = squares_between(product(found.b, found.a, 8), matrix);
  EXPECT_GT(left, least * 0.999);
  EXPECT_LT(left, least * 1.01);
  EXPECT_NEAR(found.whole - found.kept, left, 1e-4 * found.whole);
}

TEST(LowRankApproximation, HasZerosWhereTheMatrixHasNoMore) {
  const LowRank none = approximate(std::vector<float>(12), 3, 4, 2);
  EXPECT_EQ(none.whole, 0);
  EXPECT_EQ(none.a, std::vector<float>(8));
  const LowRank wide = approximate(random_values(12, 3), 3, 4, 6);
  EXPECT_NEAR(wide.kept / wide.whole, 1, 1e-9);
  EXPECT_EQ(wide.a.size(), 24U);
  EXPECT_EQ(wide.a.back(), 0);
}

class ExtractLora : public testing::Test {
 protected:
  fs::path place(const char* name) const { return folder_.path() / name; }
  std::unique_ptr<Checkpoint> merged(const Checkpoint& base, const fs::path& adapter_path,
                                     const char* name) const {
    const auto adapter = read_lora_adapter(adapter_path, base);
    EXPECT_TRUE(adapter) << adapter.error().message;
    if (!adapter) return nullptr;
    const bool gguf = base.format().starts_with("GGUF");
    const auto made = merge_lora(base, *adapter, place(name),
                                 gguf ? OutputFormat::kGguf : OutputFormat::kHuggingFace,
                                 {.type = DType::kF32, .threads = 2});
    EXPECT_TRUE(made) << made.error().message;
    return made ? open_checkpoint(place(name)) : nullptr;
  }

  hub::TemporaryDirectory folder_;
};

TEST_F(ExtractLora, FindsTheAdapterThatWasMerged) {
  const auto adapters = fs::path(FATHOM_TEST_DATA) / "golden" / "lora";
  const auto base = open_checkpoint(golden_model("llama_mha"));
  const auto permuted = open_checkpoint(golden_model("llama_mha") / "f32.gguf");
  const auto windows = random_windows(*base, 2, 30);
  const auto tuned = merged(*base, adapters / "llama_all", "tuned");
  ASSERT_NE(tuned, nullptr);
  const auto report = extract_lora(*tuned, *base, place("again"), {.rank = 9, .threads = 2});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->modules, 14);
  EXPECT_GT(report->kept, 0.9999);
  const auto expected = logits_of(*tuned, windows);
  const auto again = merged(*base, place("again"), "merged_again");
  EXPECT_LT(mean_square_difference(logits_of(*again, windows), expected), 1e-8);
  // The adapter does not depend on how a file holds the rows.
  const auto in_gguf = merged(*permuted, place("again"), "again.gguf");
  EXPECT_LT(mean_square_difference(logits_of(*in_gguf, windows), expected), 1e-8);
  const auto crossed = extract_lora(*in_gguf, *base, place("crossed"), {.rank = 9, .threads = 1});
  ASSERT_TRUE(crossed) << crossed.error().message;
  EXPECT_GT(crossed->kept, 0.9999);
}

TEST_F(ExtractLora, WinsBackSomeOfWhatRoundingLost) {
  const auto original = open_checkpoint(golden_model("llama_mha") / "f32.gguf");
  const auto windows = random_windows(*original, 8, 60, 5);
  ASSERT_TRUE(
      quantize(*original, place("small.gguf"), OutputFormat::kGguf, {.bits = 4, .threads = 2}));
  const auto small = open_checkpoint(place("small.gguf"));
  const auto report = extract_lora(*original, *small, place("correction"), {.rank = 16});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->kept, 0.3);
  const auto corrected = merged(*small, place("correction"), "corrected.gguf");
  const auto expected = logits_of(*original, windows);
  EXPECT_LT(mean_square_difference(logits_of(*corrected, windows), expected),
            0.8 * mean_square_difference(logits_of(*small, windows), expected));
}

TEST_F(ExtractLora, TakesABaseThatIsPackedInAnyLayout) {
  const fs::path packed = fs::path(FATHOM_TEST_DATA) / "golden" / "packed";
  for (const char* name :
       {"awq", "compressed_int4", "compressed_int4_zeros", "gptq", "gptq_int8"}) {
    // Decoded it is the same model, which the difference must find.
    const auto base = open_checkpoint(packed / name);
    ASSERT_TRUE(quantize(*base, place(name), OutputFormat::kHuggingFace,
                         {.method = QuantizeMethod::kNone, .plain = DType::kF32, .threads = 1}));
    const auto made = extract_lora(*open_checkpoint(place(name)), *base, place("none"), {});
    ASSERT_FALSE(made) << name;
    EXPECT_NE(made.error().message.find("equal weights"), std::string::npos)
        << made.error().message;
  }
}

TEST_F(ExtractLora, RefusesABaseWhoseNormsHoldScales) {
  const auto original = open_checkpoint(golden_model("llama_mha") / "f32.gguf");
  ASSERT_TRUE(quantize(*original, place("awq.gguf"), OutputFormat::kGguf,
                       {.method = QuantizeMethod::kAwq,
                        .calibration = random_windows(*original, 8, 60, 5),
                        .threads = 2}));
  const auto made =
      extract_lora(*original, *open_checkpoint(place("awq.gguf")), place("out"), {.threads = 2});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("scales from the matrices into the norms"), std::string::npos)
      << made.error().message;
  EXPECT_FALSE(fs::exists(place("out")));
}

TEST_F(ExtractLora, RefusesWhatIsNotOneModel) {
  const auto base = open_checkpoint(golden_model("llama_mha"));
  const auto other = open_checkpoint(golden_model("llama_gqa_tied"));
  const auto refuse = [&](const Checkpoint& tuned, const ExtractOptions& options,
                          const std::string& part) {
    const auto made = extract_lora(tuned, *base, place("out"), options);
    ASSERT_FALSE(made) << part;
    EXPECT_NE(made.error().message.find(part), std::string::npos) << made.error().message;
    EXPECT_TRUE(fs::is_empty(folder_.path()));
  };
  refuse(*other, {}, "not of one shape");
  refuse(*base, {}, "equal weights");
  refuse(*base, {.rank = 0}, "rank is 0");
  fs::create_directory(place("there"));
  EXPECT_FALSE(extract_lora(*other, *base, place("there"), {}));
}

}  // namespace
}  // namespace fathom
