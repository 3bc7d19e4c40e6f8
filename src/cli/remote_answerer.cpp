#include "cli/remote_answerer.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/json.h"
#include "base/quote.h"
#include "hub/http_client.h"

namespace fathom::cli {
namespace {

using Json = nlohmann::json;

constexpr size_t kMostAnswer = size_t{64} << 20;
constexpr int kTries = 4;
constexpr std::chrono::seconds kPatience{600};

int64_t characters(std::string_view text) {
  return std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

// What a server says of a request that it does not answer.
std::string said(const std::string& body) {
  const Json json = Json::parse(body, nullptr, false);
  if (json.is_object() && json.contains("error")) {
    const Json& error = json["error"];
    if (error.is_string()) return error.get<std::string>();
    if (error.is_object() && error.contains("message") && error["message"].is_string()) {
      return error["message"].get<std::string>();
    }
  }
  return body.substr(0, 200);
}

std::unique_ptr<hub::HttpClient> make_client() {
  return std::make_unique<hub::HttpClient>(hub::HttpOptions{.stall_timeout = kPatience});
}

bool is_passing(int status) {
  return status == 408 || status == 429 || status >= 500;
}

class RemoteAnswerer final : public Answerer {
 public:
  RemoteAnswerer(std::string url, RemoteOptions options)
      : url_(std::move(url)), options_(std::move(options)), client_(make_client()) {}

  Result<std::vector<double>> loglikelihoods(const std::vector<Continuation>& continuations,
                                             const OnDone& on_done) override {
    std::vector<double> sums(continuations.size());
    FATHOM_CHECK(ask_all(
        continuations.size(),
        [&](size_t i) -> std::pair<std::string, Json> {
          // One token is asked for, and left off below: not every server allows none.
          return {"/completions",
                  {{"model", options_.model},
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
    FATHOM_CHECK(ask_all(
        questions.size(),
        [&](size_t i) -> std::pair<std::string, Json> {
          const OpenQuestion& question = questions[i];
          Json body = {
              {"model", options_.model}, {"max_tokens", question.max_tokens}, {"temperature", 0}};
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

  Result<std::vector<std::string>> models() {
    const auto listed = hub::http_get(*client_, url_ + "/models", options_.api_key, kMostAnswer);
    if (listed.outcome.failure != hub::HttpFailure::kNone) {
      return fail("{} does not answer: {}.", url_, listed.outcome.message);
    }
    if (listed.outcome.response.status != 200) {
      return fail("{}/models answers with status {}: {}", url_, listed.outcome.response.status,
                  said(listed.body));
    }
    FATHOM_TRY(const Json json, parse_json(listed.body, url_ + "/models", {.bytes = kMostAnswer}));
    std::vector<std::string> names;
    if (json.is_object() && json.contains("data") && json["data"].is_array()) {
      for (const Json& model : json["data"]) {
        if (model.is_object() && model.contains("id") && model["id"].is_string()) {
          names.push_back(model["id"].get<std::string>());
        }
      }
    }
    return names;
  }
  void set_model(const std::string& name) { options_.model = name; }

 private:
  std::unexpected<Error> no_answer(std::string_view what) const {
    return fail(
        "{} answered without {}. Likelihoods need /completions with \"echo\" and \"logprobs\".",
        url_, what);
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

  template <class Ask, class Take>
  Status ask_all(size_t count, const Ask& ask, const Take& take, const OnDone& on_done) {
    std::optional<Error> error;
    size_t next = 0;
    size_t done = 0;
    std::vector<std::pair<size_t, int>> again;  // which, and how often it was tried
    const auto start = [&](size_t i, int tries) {
      const auto [path, body] = ask(i);
      auto text = std::make_shared<std::string>();
      hub::HttpRequest request;
      request.url = url_ + path;
      request.headers = {"Content-Type: application/json"};
      request.bearer_token = options_.api_key;
      request.post_body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
      request.on_body = [text](std::span<const std::byte> bytes) {
        text->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return text->size() <= kMostAnswer;
      };
      request.on_done = [&, i, tries, text](const hub::HttpOutcome& outcome) {
        const int status = outcome.response.status;
        const bool network = outcome.failure == hub::HttpFailure::kNetwork;
        if ((network || is_passing(status)) && tries < kTries) {
          again.emplace_back(i, tries + 1);
        } else if (outcome.failure != hub::HttpFailure::kNone) {
          error = Error{fmt::format("{} does not answer: {}.", url_, outcome.message)};
        } else if (status != 200) {
          error = Error{fmt::format("{} answers with status {}: {}", url_, status, said(*text))};
        } else if (auto parsed = parse_json(*text, url_, {.bytes = kMostAnswer}); !parsed) {
          error = parsed.error();
        } else if (const Status taken = take(i, *parsed); !taken) {
          error = taken.error();
        } else {
          ++done;
        }
      };
      client_->start(std::move(request));
    };
    while (done < count && !error) {
      const auto most = static_cast<size_t>(options_.concurrent);
      if (!again.empty() && client_->active() == 0) {
        // All that is left has failed at least once: the server needs a pause.
        wait(std::chrono::milliseconds(500));
      }
      for (const auto& [i, tries] : std::exchange(again, {})) start(i, tries);
      while (next < count && client_->active() < most) start(next++, 1);
      client_->poll(std::chrono::milliseconds(100));
      if (on_done && !on_done(done)) error = Error{"Interrupted."};
    }
    if (!error) return {};
    // The callbacks of what is under way point to what ends here.
    client_ = make_client();
    return std::unexpected(*error);
  }

  void wait(std::chrono::milliseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < until) client_->poll(std::chrono::milliseconds(50));
  }

  std::string url_;
  RemoteOptions options_;
  std::unique_ptr<hub::HttpClient> client_;
};

Result<std::string> base_of(std::string url) {
  if (!url.starts_with("http://") && !url.starts_with("https://")) {
    return usage_error("--url is {}; it must begin with http:// or https://.", in_quotes(url));
  }
  while (url.ends_with('/')) url.pop_back();
  const size_t host = url.find("//") + 2;
  if (host >= url.size()) return usage_error("--url names no server.");
  if (url.find('/', host) == std::string::npos) url += "/v1";
  return url;
}

}  // namespace

Result<RemoteServer> connect(const RemoteOptions& options) {
  if (options.concurrent < 1 || options.concurrent > 1024) {
    return usage_error("--concurrent is {}; it must be 1 to 1024.", options.concurrent);
  }
  if (options.api_key.find_first_of("\r\n") != std::string::npos) {
    return usage_error("The API key has a line break.");
  }
  FATHOM_TRY(const std::string url, base_of(options.url));
  auto answerer = std::make_unique<RemoteAnswerer>(url, options);
  FATHOM_TRY(const auto names, answerer->models());
  std::string model = options.model;
  if (model.empty()) {
    if (names.empty()) return fail("{} lists no models. Name one with -m.", url);
    model = names.front();
  } else if (!names.empty() && std::ranges::find(names, model) == names.end()) {
    return fail("{} has no model {}; it has {}.", url, in_quotes(model), fmt::join(names, ", "));
  }
  answerer->set_model(model);
  return RemoteServer{.url = url, .model = model, .answerer = std::move(answerer)};
}

}  // namespace fathom::cli
