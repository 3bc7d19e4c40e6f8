// /v1/embeddings: one vector for each input.
#include <bit>
#include <utility>

#include "serve/answer_json.h"
#include "serve/answer_writer.h"

namespace fathom::serve {

std::string AnswerWriter::stream_error(const ApiError& error) {
  return "data: " + error_json(error) + "\n\n";
}

namespace {

static_assert(std::endian::native == std::endian::little, "base64 embeddings are little-endian");

class EmbeddingWriter : public AnswerWriter {
 public:
  EmbeddingWriter(AnswerLabel label, bool base64) : label_(std::move(label)), base64_(base64) {}

  // Embeddings are never streamed.
  std::string chunk(int32_t, const AnswerChunk&) override { return {}; }
  std::string choice_end(int32_t, const AnswerEnd&) override { return {}; }
  std::string stream_end(const Usage&) override { return {}; }

  std::string whole(std::span<const Choice> choices, const Usage& usage) override {
    OrderedJson data = OrderedJson::array();
    for (size_t i = 0; i < choices.size(); ++i) {
      const std::vector<float>& vector = choices[i].end.embedding;
      OrderedJson embedding = vector;
      if (base64_) {
        embedding =
            base64({reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
      }
      data.push_back({{"object", "embedding"}, {"index", i}, {"embedding", std::move(embedding)}});
    }
    return dump(
        {{"object", "list"},
         {"data", std::move(data)},
         {"model", label_.model},
         {"usage",
          {{"prompt_tokens", usage.prompt_tokens}, {"total_tokens", usage.prompt_tokens}}}});
  }

 private:
  const AnswerLabel label_;
  const bool base64_;
};

}  // namespace

std::unique_ptr<AnswerWriter> embedding_writer(AnswerLabel label, bool base64) {
  return std::make_unique<EmbeddingWriter>(std::move(label), base64);
}

}  // namespace fathom::serve
