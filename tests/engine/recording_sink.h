// Collects what a ServingEngine tells about one request, and lets a test wait for its end.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "engine/request.h"

namespace fathom {

class RecordingSink final : public AnswerSink {
 public:
  struct Recorded {
    std::string text;
    std::string reasoning;
    std::vector<int32_t> tokens;
    std::vector<ScoredToken> scored;
    int chunks = 0;
    int ends = 0;
    AnswerEnd end;
  };

  // on_token: called on the engine's thread for every chunk, with the tokens there are so far.
  explicit RecordingSink(int32_t answers = 1, std::function<void(size_t)> on_token = {})
      : on_token_(std::move(on_token)), answers_(static_cast<size_t>(answers)), open_(answers) {}

  void on_prompt_scores(const std::vector<ScoredToken>& tokens) override {
    const std::lock_guard lock(mutex_);
    prompt_.insert(prompt_.end(), tokens.begin(), tokens.end());
  }
  void on_chunk(const AnswerChunk& chunk) override {
    size_t count = 0;
    {
      const std::lock_guard lock(mutex_);
      Recorded& answer = answers_.at(static_cast<size_t>(chunk.answer));
      ++answer.chunks;
      for (const TextPart& part : chunk.parts) {
        (part.reasoning ? answer.reasoning : answer.text) += part.text;
      }
      for (const ScoredToken& token : chunk.tokens) answer.tokens.push_back(token.token);
      answer.scored.insert(answer.scored.end(), chunk.tokens.begin(), chunk.tokens.end());
      count = answer.tokens.size();
    }
    if (on_token_) on_token_(count);
  }
  void on_end(const AnswerEnd& end) override {
    const std::lock_guard lock(mutex_);
    Recorded& answer = answers_.at(static_cast<size_t>(end.answer));
    ++answer.ends;
    answer.end = end;
    if (--open_ == 0) ended_.notify_all();
  }

  // Waits until all answers have ended.
  const Recorded& wait(size_t answer = 0) {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return open_ <= 0; });
    return answers_.at(answer);
  }
  const std::vector<ScoredToken>& prompt() const { return prompt_; }  // after wait()

 private:
  std::function<void(size_t)> on_token_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<Recorded> answers_;
  std::vector<ScoredToken> prompt_;
  int32_t open_;
};

}  // namespace fathom
