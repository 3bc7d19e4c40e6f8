#include "hub/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/assert.h"

namespace fathom::hub {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (static_cast<unsigned char>(text.back()) <= ' ')) text.remove_suffix(1);
  return text;
}

struct Origin {
  std::string scheme;
  std::string host;
  std::string port;
  bool operator==(const Origin&) const = default;
};

// Empty scheme: not a URL.
Origin origin_of(const std::string& url) {
  Origin origin;
  CURLU* parsed = curl_url();
  FATHOM_ASSERT(parsed != nullptr);
  if (curl_url_set(parsed, CURLUPART_URL, url.c_str(), 0) == CURLUE_OK) {
    const auto part = [parsed](CURLUPart which) {
      char* text = nullptr;
      std::string result;
      if (curl_url_get(parsed, which, &text, CURLU_DEFAULT_PORT) == CURLUE_OK) result = text;
      curl_free(text);
      return result;
    };
    origin = {lower(part(CURLUPART_SCHEME)), lower(part(CURLUPART_HOST)), part(CURLUPART_PORT)};
  }
  curl_url_cleanup(parsed);
  return origin;
}

// `location` may be relative to `base`. Empty: not a URL.
std::string resolve_location(const std::string& base, const std::string& location) {
  std::string result;
  CURLU* url = curl_url();
  FATHOM_ASSERT(url != nullptr);
  char* text = nullptr;
  if (curl_url_set(url, CURLUPART_URL, base.c_str(), 0) == CURLUE_OK &&
      curl_url_set(url, CURLUPART_URL, location.c_str(), 0) == CURLUE_OK &&
      curl_url_get(url, CURLUPART_URL, &text, 0) == CURLUE_OK) {
    result = text;
  }
  curl_free(text);
  curl_url_cleanup(url);
  return result;
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

HttpFailure kind_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return HttpFailure::kNone;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return HttpFailure::kCertificate;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return HttpFailure::kRefused;
    default:
      return HttpFailure::kNetwork;
  }
}

}  // namespace

std::string HttpResponse::header(const std::string& lower_case_name) const {
  const auto found = headers.find(lower_case_name);
  return found == headers.end() ? "" : found->second;
}

struct HttpClient::Transfer {
  Id id = 0;
  HttpRequest request;
  Origin first_origin;
  std::string url;  // of the current hop
  int redirects = 0;
  HttpResponse response;
  bool head_seen = false;  // on_headers has been called
  bool abandoned = false;
  CURL* easy = nullptr;
  curl_slist* header_list = nullptr;
  char error[CURL_ERROR_SIZE] = {};

  ~Transfer() {
    curl_slist_free_all(header_list);
    if (easy != nullptr) curl_easy_cleanup(easy);
  }

  bool goes_on_elsewhere() const {
    return is_redirect(response.status) && response.headers.contains("location");
  }

  bool announce_head() {
    if (head_seen) return true;
    head_seen = true;
    return !request.on_headers || request.on_headers(response);
  }

  static size_t on_header_line(char* data, size_t, size_t size, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    const std::string_view line = trim({data, size});
    if (line.starts_with("HTTP/")) {
      transfer.response = {};
      long status = 0;
      curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
      transfer.response.status = static_cast<int>(status);
    } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
      transfer.response.headers[lower(line.substr(0, colon))] = trim(line.substr(colon + 1));
    }
    return size;
  }

  static size_t on_data(char* data, size_t, size_t size, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    if (transfer.abandoned) return 0;
    if (transfer.goes_on_elsewhere()) return size;
    if (!transfer.announce_head() || transfer.abandoned ||
        (transfer.request.on_body &&
         !transfer.request.on_body(std::as_bytes(std::span(data, size))))) {
      transfer.abandoned = true;
      return 0;
    }
    return size;
  }
};

struct HttpClient::State {
  HttpOptions options;
  CURLM* multi = nullptr;
  Id next_id = 1;
  std::unordered_map<Id, std::unique_ptr<Transfer>> transfers;
  std::vector<Id> cancelled;

  void add(Transfer& transfer);
  void remove_cancelled();
  void finish(Transfer& transfer, CURLcode code);
  void report(Transfer& transfer, HttpOutcome outcome);
};

HttpClient::HttpClient(HttpOptions options) : state_(std::make_unique<State>()) {
  static std::once_flag once;
  std::call_once(once, [] { FATHOM_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
  state_->options = options;
  state_->multi = curl_multi_init();
  FATHOM_ASSERT(state_->multi != nullptr);
}

HttpClient::~HttpClient() {
  for (auto& [id, transfer] : state_->transfers) {
    curl_multi_remove_handle(state_->multi, transfer->easy);
  }
  state_->transfers.clear();
  curl_multi_cleanup(state_->multi);
}

HttpClient::Id HttpClient::start(HttpRequest request) {
  auto transfer = std::make_unique<Transfer>();
  transfer->id = state_->next_id++;
  transfer->first_origin = origin_of(request.url);
  transfer->url = request.url;
  transfer->request = std::move(request);
  Transfer& reference = *transfer;
  state_->transfers.emplace(reference.id, std::move(transfer));
  state_->add(reference);
  return reference.id;
}

void HttpClient::State::add(Transfer& transfer) {
  curl_slist_free_all(std::exchange(transfer.header_list, nullptr));
  for (const auto& header : transfer.request.headers) {
    transfer.header_list = curl_slist_append(transfer.header_list, header.c_str());
  }
  if (!transfer.request.bearer_token.empty() && origin_of(transfer.url) == transfer.first_origin) {
    transfer.header_list = curl_slist_append(
        transfer.header_list,
        fmt::format("Authorization: Bearer {}", transfer.request.bearer_token).c_str());
  }
  if (transfer.easy != nullptr) curl_easy_cleanup(transfer.easy);
  transfer.easy = curl_easy_init();
  FATHOM_ASSERT(transfer.easy != nullptr);
  CURL* easy = transfer.easy;
  curl_easy_setopt(easy, CURLOPT_URL, transfer.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
  if (!transfer.request.post_body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(transfer.request.post_body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer.request.post_body.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.error);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer.header_list);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Transfer::on_header_line);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Transfer::on_data);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "fathom");
  // Pieces of one file are to travel over connections of their own; HTTP/2 would share one.
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT,
                   static_cast<long>(options.connect_timeout.count()));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_timeout.count()));
  FATHOM_ASSERT(curl_multi_add_handle(multi, easy) == CURLM_OK);
}

void HttpClient::cancel(Id id) {
  const auto found = state_->transfers.find(id);
  if (found == state_->transfers.end() || std::ranges::count(state_->cancelled, id) > 0) return;
  // libcurl does not allow removing a transfer from within a callback.
  found->second->abandoned = true;
  state_->cancelled.push_back(id);
}

void HttpClient::State::remove_cancelled() {
  for (const Id id : std::exchange(cancelled, {})) {
    const auto found = transfers.find(id);
    if (found == transfers.end()) continue;
    curl_multi_remove_handle(multi, found->second->easy);
    transfers.erase(found);
  }
}

void HttpClient::poll(std::chrono::milliseconds timeout) {
  State& state = *state_;
  state.remove_cancelled();
  int running = 0;
  curl_multi_perform(state.multi, &running);
  state.remove_cancelled();
  int left = 0;
  bool finished = false;
  while (const CURLMsg* message = curl_multi_info_read(state.multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    finished = true;
    Transfer* transfer = nullptr;
    const CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    if (std::ranges::count(state.cancelled, transfer->id) == 0) state.finish(*transfer, code);
  }
  if (!finished) {
    curl_multi_poll(state.multi, nullptr, 0, static_cast<int>(timeout.count()), nullptr);
  }
}

size_t HttpClient::active() const {
  return state_->transfers.size() - state_->cancelled.size();
}

void HttpClient::State::finish(Transfer& transfer, CURLcode code) {
  curl_multi_remove_handle(multi, transfer.easy);
  HttpOutcome outcome;
  outcome.failure = kind_of(code);
  if (code != CURLE_OK) {
    outcome.message = transfer.error[0] != '\0' ? transfer.error : curl_easy_strerror(code);
  }
  if (code == CURLE_OK && transfer.goes_on_elsewhere()) {
    const std::string next = resolve_location(transfer.url, transfer.response.header("location"));
    const Origin origin = origin_of(next);
    const bool safe = origin.scheme == "https" ||
                      (origin.scheme == "http" && transfer.first_origin.scheme == "http");
    const bool followed = transfer.request.post_body.empty();
    if (safe && followed && transfer.redirects < options.max_redirects) {
      ++transfer.redirects;
      transfer.url = next;
      transfer.response = {};
      transfer.error[0] = '\0';
      add(transfer);
      return;
    }
    outcome.failure = HttpFailure::kRefused;
    outcome.message = !safe      ? "it redirects to an address that is not HTTPS, or none at all"
                      : followed ? "it redirects in circles"
                                 : "it redirects to another address";
  } else if (code == CURLE_OK && !transfer.announce_head()) {
    transfer.abandoned = true;  // an empty body: on_data was never called
  }
  if (std::ranges::count(cancelled, transfer.id) > 0) return;  // by its own on_headers
  if (transfer.abandoned) outcome.failure = HttpFailure::kAbandoned;
  report(transfer, std::move(outcome));
}

void HttpClient::State::report(Transfer& transfer, HttpOutcome outcome) {
  outcome.response = std::move(transfer.response);
  const auto on_done = std::move(transfer.request.on_done);
  transfers.erase(transfer.id);
  if (on_done) on_done(outcome);
}

HttpText http_get(HttpClient& client, const std::string& url, const std::string& bearer_token,
                  size_t max_bytes) {
  HttpText result;
  bool done = false;
  bool too_long = false;
  HttpRequest request;
  request.url = url;
  request.bearer_token = bearer_token;
  request.on_body = [&](std::span<const std::byte> bytes) {
    too_long = result.body.size() + bytes.size() > max_bytes;
    if (!too_long) {
      result.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    return !too_long;
  };
  request.on_done = [&](const HttpOutcome& outcome) {
    result.outcome = outcome;
    done = true;
  };
  client.start(std::move(request));
  while (!done) client.poll(std::chrono::milliseconds(100));
  if (too_long) {
    result.outcome.failure = HttpFailure::kRefused;
    result.outcome.message = fmt::format("the answer is longer than {} bytes", max_bytes);
  }
  return result;
}

std::string percent_encode(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~')) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", byte);
    }
  }
  return result;
}

}  // namespace fathom::hub
