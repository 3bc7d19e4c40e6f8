#include "evaluate/saved_logits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/assert.h"

namespace fathom {

namespace {

constexpr std::string_view kMagic = "FTHMLGTS";
constexpr float kCodes = 65534;  // steps from the lowest to the highest logit

struct Header {
  int64_t version = 1;
  int64_t vocab = 0;
  int64_t context = 0;
  int64_t stride = 0;
  int64_t tokens = 0;
};
constexpr int64_t kHeaderBytes = 8 + static_cast<int64_t>(sizeof(Header));
constexpr int64_t kMostVocab = int64_t{1} << 24;

int64_t row_bytes(int64_t vocab) {
  return 8 + 2 * vocab;
}

Result<int64_t> scored_tokens(int64_t tokens, const Windowing& windowing) {
  FATHOM_TRY(const auto windows, cut_windows(tokens, windowing));
  int64_t rows = 0;
  for (const Window& window : windows) rows += window.end - window.scored;
  return rows;
}

}  // namespace

Result<LogitsWriter> LogitsWriter::create(const std::filesystem::path& path,
                                          const std::vector<int32_t>& tokens,
                                          const Windowing& windowing, int64_t vocab) {
  const Header header{.vocab = vocab,
                      .context = windowing.context,
                      .stride = windowing.stride,
                      .tokens = std::ssize(tokens)};
  FATHOM_TRY(const int64_t rows, scored_tokens(header.tokens, windowing));
  const int64_t begin = kHeaderBytes + 4 * header.tokens;
  FATHOM_TRY(OutputFile file, OutputFile::create(path, begin + rows * row_bytes(vocab)));
  FATHOM_CHECK(file.write(0, std::as_bytes(std::span(kMagic))));
  FATHOM_CHECK(file.write(8, std::as_bytes(std::span(&header, 1))));
  FATHOM_CHECK(file.write(kHeaderBytes, std::as_bytes(std::span(tokens))));
  return LogitsWriter(std::move(file), begin, vocab);
}

Status LogitsWriter::add(std::span<const float> logits) {
  FATHOM_ASSERT(logits.size() == codes_.size());
  float low = std::numeric_limits<float>::infinity();
  float high = -low;
  for (const float logit : logits) {
    if (!std::isfinite(logit)) continue;
    low = std::min(low, logit);
    high = std::max(high, logit);
  }
  if (!(low <= high)) low = high = 0;
  const float step = (high - low) / kCodes;
  const float inverse = step > 0 ? 1 / step : 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float steps = std::clamp((logits[i] - low) * inverse + 0.5F, 0.0F, kCodes);
    codes_[i] = std::isfinite(logits[i]) ? static_cast<uint16_t>(1 + static_cast<int>(steps)) : 0;
  }
  const std::array<float, 2> scale{low, step};
  FATHOM_CHECK(file_.write(at_, std::as_bytes(std::span(scale))));
  FATHOM_CHECK(file_.write(at_ + 8, std::as_bytes(std::span(codes_))));
  at_ += row_bytes(std::ssize(codes_));
  return {};
}

Status LogitsWriter::commit() {
  return file_.commit();
}

Result<SavedLogits> SavedLogits::open(const std::filesystem::path& path) {
  FATHOM_TRY(MappedFile mapped, MappedFile::open(path));
  SavedLogits saved(std::move(mapped));
  const auto bytes = saved.file_.bytes();
  const auto size = static_cast<int64_t>(bytes.size());
  if (size < kHeaderBytes || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0) {
    return fail("{} holds no logits as fathom eval ppl --save-logits writes them.", path.string());
  }
  Header header;
  std::memcpy(&header, bytes.data() + 8, sizeof header);
  saved.vocab_ = header.vocab;
  saved.windowing_ = {.context = header.context, .stride = header.stride};
  const bool possible = header.version == 1 && header.vocab > 0 && header.vocab <= kMostVocab &&
                        header.tokens >= 0 && header.tokens <= (size - kHeaderBytes) / 4;
  const auto rows =
      possible ? scored_tokens(header.tokens, saved.windowing_) : Result<int64_t>(int64_t{-1});
  saved.begin_ = possible ? kHeaderBytes + 4 * header.tokens : 0;
  if (!possible || !rows || size != saved.begin_ + *rows * row_bytes(header.vocab)) {
    return fail("{} is damaged or of another version: save the logits again.", path.string());
  }
  saved.rows_ = *rows;
  saved.tokens_.resize(static_cast<size_t>(header.tokens));
  std::memcpy(saved.tokens_.data(), bytes.data() + kHeaderBytes, saved.tokens_.size() * 4);
  return saved;
}

void SavedLogits::row(int64_t index, std::span<float> logits) const {
  FATHOM_ASSERT(index >= 0 && index < rows_ && std::ssize(logits) == vocab_);
  const auto part = file_.bytes().subspan(static_cast<size_t>(begin_ + index * row_bytes(vocab_)),
                                          static_cast<size_t>(row_bytes(vocab_)));
  std::array<float, 2> scale{};
  std::memcpy(scale.data(), part.data(), sizeof scale);
  for (size_t i = 0; i < logits.size(); ++i) {
    uint16_t code = 0;
    std::memcpy(&code, part.data() + 8 + 2 * i, sizeof code);
    logits[i] = code == 0 ? -std::numeric_limits<float>::infinity()
                          : scale[0] + scale[1] * static_cast<float>(code - 1);
  }
  file_.release(part);
}

}  // namespace fathom
