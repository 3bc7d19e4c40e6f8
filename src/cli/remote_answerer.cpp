#include "cli/remote_answerer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace fathom::cli {
namespace {

using Json = nlohmann::json;

int64_t characters(std::string_view text) {
  return std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

class RemoteAnswerer final : public Answerer {
 public:
  explicit RemoteAnswerer(std::unique_ptr<RemoteServer> server) : server_(std::move(server)) {}

  Result<std::vector<double>> loglikelihoods(const std::vector<Continuation>& continuations,
                                             const OnDone& on_done) override {
    std::vector<double> sums(continuations.size());
    FATHOM_CHECK(server_->ask_all(
        continuations.size(),
        [&](size_t i) -> std::pair<std::string, Json> {
          // One token is asked for, and left off below: not every server allows none.
          return {"/completions",
                  {{"model", server_->model()},
                   {"prompt", continuations[i].context + continuations[i].text},
                   {"max_tokens", 1},
                   {"temperature", 0},
                   {"echo", true},
                   {"logprobs", 1}}};
        },
        [&](size_t i, const Json& answer) -> Status {
          FATHOM_TRY(sums[i], sum_of(continuations[i], answer));
          return {};
        },
        on_done));
    return sums;
  }

  Result<std::vector<std::string>> generate(const std::vector<OpenQuestion>& questions,
                                            const OnDone& on_done) override {
    std::vector<std::string> texts(questions.size());
    FATHOM_CHECK(server_->ask_all(
        questions.size(),
        [&](size_t i) -> std::pair<std::string, Json> {
          const OpenQuestion& question = questions[i];
          Json body = {
              {"model", server_->model()}, {"max_tokens", question.max_tokens}, {"temperature", 0}};
          if (!question.stop.empty()) body["stop"] = question.stop;
          if (question.chat) {
            body["messages"] = {{{"role", "user"}, {"content", question.prompt}}};
            return {"/chat/completions", std::move(body)};
          }
          body["prompt"] = question.prompt;
          return {"/completions", std::move(body)};
        },
        [&](size_t i, const Json& answer) -> Status {
          const Json choice = first_choice(answer);
          const Json& holder = choice.contains("message") ? choice["message"] : choice;
          const char* member = choice.contains("message") ? "content" : "text";
          if (!holder.is_object() || !holder.contains(member)) return no_answer("an answer");
          // A model that only thought until its tokens were used up said nothing.
          texts[i] = holder[member].is_string() ? holder[member].get<std::string>() : "";
          return {};
        },
        on_done));
    return texts;
  }

 private:
  std::unexpected<Error> no_answer(std::string_view what) const {
    return fail(
        "{} answered without {}. Likelihoods need /completions with \"echo\" and \"logprobs\".",
        server_->url(), what);
  }

  static Json first_choice(const Json& answer) {
    if (!answer.is_object() || !answer.contains("choices")) return Json::object();
    const Json& choices = answer["choices"];
    return choices.is_array() && !choices.empty() && choices[0].is_object() ? choices[0]
                                                                            : Json::object();
  }

  // Of the echoed tokens that begin in the continuation, or reach into it. As for models here,
  // spaces at the end of a context belong to what follows.
  Result<double> sum_of(const Continuation& continuation, const Json& answer) const {
    const Json choice = first_choice(answer);
    const auto scores = choice.find("logprobs");
    if (scores == choice.end() || !scores->is_object()) return no_answer("logprobs");
    const auto logprobs = scores->find("token_logprobs");
    const auto offsets = scores->find("text_offset");
    const bool fine = logprobs != scores->end() && offsets != scores->end() &&
                      logprobs->is_array() && offsets->is_array() &&
                      logprobs->size() == offsets->size();
    if (!fine) return no_answer("token_logprobs and text_offset");
    const size_t space = continuation.context.find_last_not_of(" \n\t\r") + 1;
    const int64_t begin = characters(std::string_view(continuation.context).substr(0, space));
    const int64_t end = characters(continuation.context) + characters(continuation.text);
    double sum = 0;
    bool any = false;
    for (size_t i = 0; i < offsets->size(); ++i) {
      if (!(*offsets)[i].is_number()) return no_answer("offsets of its tokens");
      const auto offset = (*offsets)[i].get<int64_t>();
      const auto next = i + 1 < offsets->size() && (*offsets)[i + 1].is_number()
                            ? (*offsets)[i + 1].get<int64_t>()
                            : end;
      if (offset >= end || std::max(next, offset + 1) <= begin) continue;
      if (!(*logprobs)[i].is_number()) continue;  // the first token of all has none
      sum += (*logprobs)[i].get<double>();
      any = true;
    }
    if (!any) return no_answer("an echo of the prompt");
    return sum;
  }

  std::unique_ptr<RemoteServer> server_;
};

}  // namespace

std::unique_ptr<Answerer> make_answerer(std::unique_ptr<RemoteServer> server) {
  return std::make_unique<RemoteAnswerer>(std::move(server));
}

}  // namespace fathom::cli
