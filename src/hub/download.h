// Fetches files over HTTP, all at once and in pieces: at most `parallel` requests are under way,
// each for one range of one file. What breaks off is asked for again from where it stopped, after
// a wait that grows; what was fetched by an earlier run is not fetched again (partial_file.h). A
// file gets its final name only after its digest was checked.
//
// If-Range (RFC 9110, 13.1.5) makes sure that all pieces come from the same content: a file that
// changes on the server meanwhile is begun anew.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/digest.h"
#include "hub/http_client.h"

namespace fathom::hub {

struct Download {
  std::string name;  // for messages
  std::string url;
  int64_t size = 0;
  DigestKind digest_kind = DigestKind::kSha256;
  std::string digest;
  std::filesystem::path partial;  // where it grows; same file system as `target`
  std::filesystem::path target;
};

struct DownloadOptions {
  int parallel = 8;
  int64_t piece_bytes = int64_t{32} << 20;
  // Tries of one piece that bring nothing before the download fails, and the wait before the
  // second; it doubles each time, up to kMaxRetryDelay. The server may ask for a longer one.
  int max_tries = 8;
  std::chrono::milliseconds retry_delay{500};
  HttpOptions http;
};

// on_file is called as each file gets its name; an error it returns ends the download. Shows
// progress on stderr. On failure the parts stay for the next run.
Status download_files(const std::vector<Download>& downloads, const std::string& bearer_token,
                      const DownloadOptions& options,
                      const std::function<Status(const Download&)>& on_file);

// Why a hub's answer with such a status means that there is no file; "" for statuses that a
// second try may cure (408, 429, 5xx) or that are no failure.
std::string explain_http_status(const HttpResponse& response, bool with_token);

// How long to wait before try number `failures` + 1.
std::chrono::milliseconds retry_delay(const DownloadOptions& options, int failures,
                                      const HttpResponse& response);

}  // namespace fathom::hub
