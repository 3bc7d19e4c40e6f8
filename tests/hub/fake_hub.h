// A hub-shaped server for tests: lists the files of its repositories with their digests, and
// serves them with ETags, ranges and If-Range. Digests come from OpenSSL's one-shot functions. A
// test changes what it does by `amend`, which sees every answer before it goes out.
#pragma once

#include <fmt/format.h>
#include <openssl/sha.h>

#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "hub/http_server.h"

namespace fathom::hub {

inline std::string hex(const unsigned char* digest, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

inline std::string sha256_of(const std::string& content) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(), digest);
  return hex(digest, sizeof digest);
}

inline std::string git_blob_of(const std::string& content) {
  std::string object = "blob " + std::to_string(content.size());
  object += '\0';
  object += content;
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(object.data()), object.size(), digest);
  return hex(digest, sizeof digest);
}

// Bytes in which no two places look alike.
inline std::string test_content(size_t size, uint32_t seed = 1) {
  std::string content(size, '\0');
  uint32_t state = seed * 2654435761u + 1;
  for (char& c : content) {
    state = state * 1664525u + 1013904223u;
    c = static_cast<char>(state >> 24);
  }
  return content;
}

class FakeHub {
 public:
  struct File {
    std::string content = {};
    bool lfs = true;
    std::string etag = "";           // "": made from the content
    std::string listed_digest = "";  // "": the true one
    int64_t listed_size = -1;        // -1: the true one
  };
  using Amend = std::function<void(const HttpServer::Request&, HttpServer::Response&)>;

  explicit FakeHub(bool tls = false)
      : server([this](const HttpServer::Request& request) { return answer(request); }, tls) {}

  void put(const std::string& name, File file) {
    const std::lock_guard lock(mutex_);
    files_[name] = std::move(file);
  }
  void set_amend(Amend amend) {
    const std::lock_guard lock(mutex_);
    amend_ = std::move(amend);
  }

  // Bytes of file content sent so far.
  int64_t content_bytes() const {
    int64_t bytes = 0;
    for (const auto& record : server.records()) {
      if (is_content(record.request)) bytes += record.body_bytes;
    }
    return bytes;
  }
  int content_requests() const {
    int count = 0;
    for (const auto& record : server.records()) count += is_content(record.request) ? 1 : 0;
    return count;
  }
  static bool is_content(const HttpServer::Request& request) {
    return request.path.starts_with("/owner/name/resolve/");
  }

  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

  // What an honest server answers to a request for that file.
  static HttpServer::Response content(const File& file, const HttpServer::Request& request) {
    HttpServer::Response response{.body = file.content};
    const std::string etag =
        file.etag.empty() ? "\"" + sha256_of(file.content).substr(0, 16) + "\"" : file.etag;
    response.headers["ETag"] = etag;
    response.headers["Accept-Ranges"] = "bytes";
    long long begin = 0;
    long long end = 0;
    const std::string condition = request.header("if-range");
    if ((condition.empty() || condition == etag) &&
        std::sscanf(request.header("range").c_str(), "bytes=%lld-%lld", &begin, &end) == 2) {
      const auto size = static_cast<long long>(file.content.size());
      if (begin >= size) return {.status = 416};
      end = std::min(end, size - 1);
      response.status = 206;
      response.headers["Content-Range"] = fmt::format("bytes {}-{}/{}", begin, end, size);
      response.body =
          file.content.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin + 1));
    }
    return response;
  }

 private:
  HttpServer::Response answer(const HttpServer::Request& request) {
    const std::lock_guard lock(mutex_);
    HttpServer::Response response = honest_answer(request);
    if (amend_) amend_(request, response);
    return response;
  }

  HttpServer::Response honest_answer(const HttpServer::Request& request) const {
    if (request.path.starts_with("/api/models/owner/name/revision/")) return {.body = listing()};
    const std::string prefix = fmt::format("/owner/name/resolve/{}/", kCommit);
    if (!request.path.starts_with(prefix)) return {.status = 404};
    const auto found = files_.find(request.path.substr(prefix.size()));
    if (found == files_.end()) return {.status = 404};
    return content(found->second, request);
  }

  std::string listing() const {
    auto siblings = nlohmann::json::array();
    for (const auto& [name, file] : files_) {
      nlohmann::json entry = {
          {"rfilename", name},
          {"size",
           file.listed_size >= 0 ? file.listed_size : static_cast<int64_t>(file.content.size())}};
      const std::string& listed = file.listed_digest;
      if (file.lfs) {
        entry["blobId"] = std::string(40, 'b');
        entry["lfs"] = {{"sha256", listed.empty() ? sha256_of(file.content) : listed},
                        {"size", entry["size"]},
                        {"pointerSize", 134}};
      } else {
        entry["blobId"] = listed.empty() ? git_blob_of(file.content) : listed;
      }
      siblings.push_back(std::move(entry));
    }
    return nlohmann::json{{"id", "owner/name"}, {"sha", kCommit}, {"siblings", siblings}}.dump();
  }

  mutable std::mutex mutex_;
  std::map<std::string, File> files_;
  Amend amend_;

 public:
  HttpServer server;  // last: its threads use the rest
};

}  // namespace fathom::hub
