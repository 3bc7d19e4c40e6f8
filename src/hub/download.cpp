#include "hub/download.h"

#include <algorithm>
#include <charconv>
#include <deque>
#include <future>
#include <optional>

#include "base/progress.h"
#include "hub/disk.h"
#include "hub/partial_file.h"

namespace fathom::hub {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kMaxRetryDelay{30'000};
constexpr std::chrono::milliseconds kMaxServerDelay{300'000};
constexpr std::chrono::milliseconds kRecordInterval{250};
constexpr int kMaxRestarts = 3;

std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

struct ContentRange {
  int64_t begin = 0;
  std::optional<int64_t> total;
};

// "bytes 100-199/5000" or "bytes 100-199/*".
std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos) return std::nullopt;
  const auto begin = parse_integer(text.substr(0, dash));
  if (!begin) return std::nullopt;
  return ContentRange{*begin, parse_integer(text.substr(slash + 1))};
}

// One file: its pieces, who fetches them, and when the next try is due.
struct FileState {
  explicit FileState(const Download& of, PartialFile file)
      : download(&of), partial(std::move(file)) {
    reset_slots();
  }

  struct Slot {
    HttpClient::Id transfer = 0;  // 0: nobody fetches this piece now
    int failures = 0;
    Clock::time_point not_before;
  };

  void reset_slots() { slots.assign(partial.pieces().size(), {}); }
  bool fetched() const { return partial.complete(); }

  const Download* download;
  PartialFile partial;
  std::vector<Slot> slots;       // one for each piece
  bool answered = false;         // a good answer came: more requests may go out beside the first
  bool ranges = true;            // the server serves ranges
  bool begun_anew_once = false;  // after a digest that did not fit a resumed file
  int restarts = 0;              // because the content changed
  bool finished = false;
  std::future<Result<std::string>> digest;  // being computed once all bytes are there
};

class Downloader {
 public:
  Downloader(const std::vector<Download>& downloads, std::string token,
             const DownloadOptions& options, std::function<Status(const Download&)> on_file)
      : downloads_(downloads),
        token_(std::move(token)),
        options_(options),
        on_file_(std::move(on_file)),
        client_(options.http),
        progress_("", 0) {}

  Status run();

 private:
  void start_requests();
  void start_request(FileState& file, size_t piece);
  bool on_headers(FileState& file, size_t piece, const HttpResponse& response, bool ranged);
  bool on_body(FileState& file, size_t piece, std::span<const std::byte> bytes);
  void on_done(FileState& file, size_t piece, const HttpOutcome& outcome, int64_t position);
  void retry(FileState& file, size_t piece, const HttpOutcome& outcome);
  void begin_anew(FileState& file, size_t kept);
  void content_changed(FileState& file);
  void finish_fetched();
  Status finish(FileState& file, const std::string& digest);
  void show_progress();
  template <typename... Args>
  void give_up(fmt::format_string<Args...> format, Args&&... args) {
    if (!error_) error_ = Error{fmt::format(format, std::forward<Args>(args)...)};
  }

  const std::vector<Download>& downloads_;
  std::string token_;
  const DownloadOptions& options_;
  std::function<Status(const Download&)> on_file_;
  std::deque<FileState> files_;
  std::optional<Error> error_;
  HttpClient client_;  // after what its callbacks use
  Progress progress_;
};

constexpr size_t kNone = SIZE_MAX;

Status Downloader::run() {
  int64_t total = 0;
  int64_t there = 0;
  for (const auto& download : downloads_) {
    FATHOM_CHECK(make_directories(download.partial.parent_path()));
    FATHOM_CHECK(make_directories(download.target.parent_path()));
    FATHOM_TRY(auto partial, PartialFile::open(download.partial, download.size, download.digest,
                                               options_.piece_bytes));
    total += download.size;
    there += partial.done();
    files_.emplace_back(download, std::move(partial));
  }
  progress_.set_total(total);
  progress_.start_at(there);
  if (there > 0) {
    fmt::print(stderr, "Going on where the last run stopped: {} of {} are there.\n",
               format_bytes(there), format_bytes(total));
  }

  auto last_record = Clock::now();
  while (!error_ && std::ranges::any_of(files_, [](const auto& f) { return !f.finished; })) {
    finish_fetched();
    if (error_) break;
    start_requests();
    client_.poll(std::chrono::milliseconds(50));
    show_progress();
    if (Clock::now() - last_record > kRecordInterval) {
      last_record = Clock::now();
      for (auto& file : files_) {
        if (file.finished) continue;
        if (auto status = file.partial.record(); !status) give_up("{}", status.error().message);
      }
    }
  }
  progress_.finish();
  if (!error_) return {};
  for (auto& file : files_) {
    // A disk too full for the state file keeps the older one, which is still true.
    if (file.finished) continue;
    [[maybe_unused]] const Status recorded = file.partial.record();
  }
  return std::unexpected(*error_);
}

void Downloader::start_requests() {
  const auto now = Clock::now();
  for (auto& file : files_) {
    if (file.finished || file.fetched()) continue;
    for (size_t piece = 0; piece < file.slots.size(); ++piece) {
      if (static_cast<int>(client_.active()) >= options_.parallel) return;
      const auto& slot = file.slots[piece];
      if (file.partial.pieces()[piece].complete()) continue;
      if (slot.transfer == 0 && now >= slot.not_before) start_request(file, piece);
      // Until the first answer nobody knows whether ranges are served, and of what content.
      if (!file.answered) break;
    }
  }
}

void Downloader::start_request(FileState& file, size_t piece) {
  const auto& range = file.partial.pieces()[piece];
  const int64_t position = range.position();
  const bool whole = position == 0 && range.end == file.download->size;
  const bool ranged = !whole && file.ranges;
  HttpRequest request;
  request.url = file.download->url;
  request.bearer_token = token_;
  if (ranged) {
    request.headers.push_back(fmt::format("Range: bytes={}-{}", position, range.end - 1));
    // A weak validator promises no equal bytes.
    const auto& etag = file.partial.etag();
    if (!etag.empty() && !etag.starts_with("W/")) request.headers.push_back("If-Range: " + etag);
  }
  request.on_headers = [this, &file, piece, ranged](const HttpResponse& response) {
    return on_headers(file, piece, response, ranged);
  };
  request.on_body = [this, &file, piece](std::span<const std::byte> bytes) {
    return on_body(file, piece, bytes);
  };
  request.on_done = [this, &file, piece, position](const HttpOutcome& outcome) {
    on_done(file, piece, outcome, position);
  };
  file.slots[piece].transfer = client_.start(std::move(request));
}

// Forgets the bytes of a file and ends its transfers, but for that of one piece: without ranges
// that transfer brings the whole file, as piece 0.
void Downloader::begin_anew(FileState& file, size_t kept) {
  const HttpClient::Id keep = kept == kNone ? 0 : file.slots[kept].transfer;
  for (const auto& slot : file.slots) {
    if (slot.transfer != 0 && slot.transfer != keep) client_.cancel(slot.transfer);
  }
  file.partial.restart(file.ranges ? options_.piece_bytes : 0);
  file.reset_slots();
  file.answered = false;
  if (keep != 0) file.slots[0].transfer = keep;
}

void Downloader::content_changed(FileState& file) {
  if (++file.restarts > kMaxRestarts) {
    give_up("{}: the file keeps changing on the server. Try again later.", file.download->name);
    return;
  }
  begin_anew(file, kNone);
}

bool Downloader::on_headers(FileState& file, size_t piece, const HttpResponse& response,
                            bool ranged) {
  const int status = response.status;
  const std::string etag = response.header("etag");
  const std::string& name = file.download->name;
  if (status == 206 && ranged) {
    const auto range = parse_content_range(response.header("content-range"));
    if (!range || range->begin != file.partial.pieces()[piece].position()) {
      give_up("{}: the server sent another range than the one asked for ({}).", name,
              response.header("content-range"));
      return false;
    }
    const auto& known = file.partial.etag();
    const bool same_etag = known.empty() || etag.empty() || etag == known;
    if (!same_etag || (range->total && *range->total != file.download->size)) {
      content_changed(file);
      return false;
    }
    if (!etag.empty()) file.partial.set_etag(etag);
    file.answered = true;
    return true;
  }
  if (status == 200) {
    const auto length = parse_integer(response.header("content-length"));
    if (length && *length != file.download->size) {
      give_up("{}: the server offers {} bytes, but the hub lists it with {}.", name, *length,
              file.download->size);
      return false;
    }
    if (ranged) {
      const std::string& known = file.partial.etag();
      if (!known.empty() && known != etag) {
        content_changed(file);
        return false;
      }
      // No ranges here: this answer is the whole file, from its beginning.
      file.ranges = false;
      begin_anew(file, piece);
    }
    file.partial.set_etag(etag);
    file.answered = true;
    return true;
  }
  if (status == 416) {  // the content became shorter than where we are
    content_changed(file);
    return false;
  }
  if (const auto reason = explain_http_status(response, !token_.empty()); !reason.empty()) {
    give_up("{}: {}", name, reason);
  }
  return false;
}

bool Downloader::on_body(FileState& file, size_t piece, std::span<const std::byte> bytes) {
  if (!file.ranges) piece = 0;  // adopted by begin_anew
  const auto& range = file.partial.pieces()[piece];
  if (static_cast<int64_t>(bytes.size()) > range.end - range.position()) {
    give_up("{}: the server sent more than was asked for.", file.download->name);
    return false;
  }
  if (auto status = file.partial.write(piece, bytes); !status) {
    give_up("{}", status.error().message);
    return false;
  }
  return true;
}

void Downloader::on_done(FileState& file, size_t piece, const HttpOutcome& outcome,
                         int64_t position) {
  if (!file.ranges) {
    piece = 0;
    position = 0;
  }
  if (error_) return;
  auto& slot = file.slots[piece];
  slot.transfer = 0;
  const auto& range = file.partial.pieces()[piece];
  if (range.complete()) return;
  if (outcome.failure == HttpFailure::kCertificate) {
    give_up("{}: the server's certificate was not accepted: {}.", file.download->name,
            outcome.message);
    return;
  }
  if (outcome.failure == HttpFailure::kRefused) {
    give_up("{}: cannot be fetched: {}.", file.download->name, outcome.message);
    return;
  }
  if (range.position() > position && file.ranges) slot.failures = 0;
  retry(file, piece, outcome);
}

void Downloader::retry(FileState& file, size_t piece, const HttpOutcome& outcome) {
  const int failures = ++file.slots[piece].failures;
  if (failures >= options_.max_tries) {
    const int status = outcome.response.status;
    const std::string reason = outcome.failure == HttpFailure::kNetwork ? outcome.message
                               : status >= 400
                                   ? fmt::format("the server answers with HTTP status {}", status)
                                   : "the server breaks off";
    give_up(
        "{}: gave up after {} tries ({}). What has arrived is kept: the same command goes on "
        "from there.",
        file.download->name, failures, reason);
    return;
  }
  if (!file.ranges) begin_anew(file, kNone);
  auto& slot = file.slots[piece];
  slot.failures = failures;
  slot.not_before = Clock::now() + retry_delay(options_, failures, outcome.response);
}

void Downloader::finish_fetched() {
  for (auto& file : files_) {
    if (file.finished || !file.fetched() || error_) continue;
    if (!file.digest.valid()) {
      // Ends the transfers that have brought all they were asked for.
      for (auto& slot : file.slots) {
        if (slot.transfer != 0) client_.cancel(slot.transfer);
        slot.transfer = 0;
      }
      file.digest = std::async(std::launch::async, [&file] {
        return file_digest(file.partial.path(), file.download->digest_kind);
      });
    }
    if (file.digest.wait_for(std::chrono::seconds(0)) != std::future_status::ready) continue;
    auto digest = file.digest.get();
    Status status = digest ? finish(file, *digest) : std::unexpected(digest.error());
    if (!status) give_up("{}", status.error().message);
  }
}

Status Downloader::finish(FileState& file, const std::string& digest) {
  const Download& download = *file.download;
  if (digest != download.digest) {
    // Bytes of an earlier run may be at fault: a power cut can lose what the state file counts.
    if (file.partial.resumed() && !file.begun_anew_once) {
      file.begun_anew_once = true;
      fmt::print(stderr, "{}: what an earlier run left does not fit; fetching it anew.\n",
                 download.name);
      begin_anew(file, kNone);
      return {};
    }
    file.partial.remove();
    return fail(
        "{}: what arrived is not the file that the hub lists: its digest is {}, expected "
        "{}. It was thrown away; try again, or report it to the hub.",
        download.name, digest, download.digest);
  }
  FATHOM_CHECK(move_into_place(file.partial.path(), download.target));
  file.partial.remove_state();
  file.finished = true;
  return on_file_(download);
}

void Downloader::show_progress() {
  int64_t done = 0;
  size_t finished = 0;
  const FileState* current = nullptr;
  for (const auto& file : files_) {
    done += file.partial.done();
    finished += file.finished ? 1 : 0;
    if (!file.finished && (current == nullptr || (current->fetched() && !file.fetched()))) {
      current = &file;
    }
  }
  if (current != nullptr) {
    std::string label = current->fetched() ? "Checking " : "";
    if (files_.size() > 1) label += fmt::format("{}/{} ", finished + 1, files_.size());
    progress_.set_label(label + current->download->name);
  }
  progress_.set(done);
}

}  // namespace

std::string explain_http_status(const HttpResponse& response, bool with_token) {
  switch (response.status) {
    case 401:
      return with_token
                 ? "the hub does not accept the access token in HF_TOKEN (HTTP status 401)."
                 : "the hub knows no such repository, or it needs a login (HTTP status 401). Check "
                   "the name; for a private or gated repository set HF_TOKEN to your access token.";
    case 403:
      return with_token ? "the access token in HF_TOKEN does not open this repository (HTTP status "
                          "403). Its page on the hub may ask you to accept conditions first."
                        : "access is restricted (HTTP status 403). Accept the conditions on the "
                          "repository's page and set HF_TOKEN to your access token.";
    case 404:
      return "the hub knows no such repository, revision or file (HTTP status 404).";
    default:
      break;
  }
  const bool worth_another_try =
      response.status == 408 || response.status == 429 || response.status >= 500;
  if (response.status < 300 || worth_another_try) return "";
  return fmt::format("the server's answer was not expected (HTTP status {}).", response.status);
}

std::chrono::milliseconds retry_delay(const DownloadOptions& options, int failures,
                                      const HttpResponse& response) {
  std::chrono::milliseconds delay = options.retry_delay;
  for (int i = 1; i < failures && delay < kMaxRetryDelay; ++i) delay *= 2;
  delay = std::min(delay, kMaxRetryDelay);
  // Retry-After may also be a date; then our own wait has to do.
  if (const auto seconds = parse_integer(response.header("retry-after"))) {
    const std::chrono::milliseconds asked =
        *seconds > 300 ? kMaxServerDelay : std::chrono::seconds(*seconds);
    delay = std::max(delay, asked);
  }
  return delay;
}

Status download_files(const std::vector<Download>& downloads, const std::string& bearer_token,
                      const DownloadOptions& options,
                      const std::function<Status(const Download&)>& on_file) {
  return Downloader(downloads, bearer_token, options, on_file).run();
}

}  // namespace fathom::hub
